#!/bin/sh
# What only the comparison needs: the peers' packages in an environment of their own, and wrk.
set -eu
cd "$(dirname "$0")/.."

LOCK=bench/peers/requirements.lock
STAMP=.venv-bench/.installed

wanted=$(sha256sum <"$LOCK")
if [ "$(cat "$STAMP" 2>/dev/null)" != "$wanted" ]; then
    if [ -z "${UV_DEFAULT_INDEX:-}" ]; then
        UV_DEFAULT_INDEX=$(.venv/bin/python -m pip config get global.index-url 2>/dev/null || true)
    fi
    if [ -n "$UV_DEFAULT_INDEX" ]; then export UV_DEFAULT_INDEX; else unset UV_DEFAULT_INDEX; fi
    .venv/bin/uv venv --quiet --clear --python .venv/bin/python .venv-bench
    VIRTUAL_ENV="$PWD/.venv-bench" .venv/bin/uv pip sync --quiet --compile-bytecode --system-certs --require-hashes "$LOCK"
    echo "$wanted" >"$STAMP"
fi

command -v wrk >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    install() { apt-get install -qq -y --no-install-recommends wrk </dev/null >/dev/null; }
    install 2>/dev/null || { apt-get update -qq && install; }
else
    echo "wrk makes the load: sudo apt-get install wrk" >&2
    exit 1
fi
