-- One load for `wrk`: the requests come from a file, one a line, in turn; the figures go out as JSON.
-- A line is METHOD, PATH, AUTHORIZATION and BODY, divided by tabs; "-" stands for nothing. `%d` in
-- a body and in the Idempotency-Key of a POST is a number that no other request has.
local lines = {}
local counter = 0
local thread_number = 0

function setup(thread)
    thread:set("number", thread_number)
    thread_number = thread_number + 1
end

function init(args)
    local close = args[2] == "close"
    for line in io.lines(args[1]) do
        local method, path, authorization, body = line:match("([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)")
        local headers = {}
        if close then headers["Connection"] = "close" end
        if authorization ~= "-" then headers["Authorization"] = authorization end
        if method == "POST" then
            headers["Content-Type"] = "application/json"
            table.insert(lines, {method = method, path = path, headers = headers, body = body})
        else
            -- Whatever never changes is formatted once, so that the load costs little itself.
            table.insert(lines, wrk.format(method, path, headers))
        end
    end
    run = args[3] or "0"
    next_line = number * 7
end

function request()
    next_line = next_line % #lines + 1
    local line = lines[next_line]
    if type(line) == "string" then return line end
    counter = counter + 1
    line.headers["Idempotency-Key"] = string.format("bench-%s-%d-%d", run, number, counter)
    return wrk.format(line.method, line.path, line.headers, line.body)
end

function done(summary, latency, requests)
    local form = '{"requests": %d, "seconds": %.3f, "p50_ms": %.3f, "p95_ms": %.3f, "p99_ms": %.3f,'
        .. ' "max_ms": %.3f, "refused": %d, "broken": %d}\n'
    io.write(string.format(form, summary.requests, summary.duration / 1e6,
        latency:percentile(50) / 1000, latency:percentile(95) / 1000,
        latency:percentile(99) / 1000, latency.max / 1000, summary.errors.status,
        summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
