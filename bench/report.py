"""docs/benchmarks.md from docs/benchmarks.json: medians of the rounds, and their spread."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.subjects import CASES, RUSH, Case
from dev.config import PROJECT

FOLDER = PROJECT / "docs"
PEERS = {"fastapi": 2.5, "flask": 3.0}
RUSH_SHARE = 0.35
TAIL = 20
GROWTH = 1.3
CREATE_P95_MS = 150
RECOVERY_S = 10
WEB_RSS_MB, START_S = 130, 2


@dataclass(frozen=True)
class Goal:
    """One target, what was found, and whether that is enough: yes, no, or unclear."""

    what: str
    wanted: str
    found: str
    met: str

    def row(self) -> str:
        return f"| {self.what} | {self.wanted} | {self.found} | {self.met} |"


def at_least(what: str, target: float, values: Sequence[float], unit: str = "") -> Goal:
    """Met when every round met it; unclear when some did."""
    good = [value >= target for value in values]
    return Goal(what, f"≥ {target:g}{unit}", f"{_spread(values, 2)}{unit}", _verdict(good))


def at_most(what: str, target: float, values: Sequence[float], unit: str = "") -> Goal:
    good = [value <= target for value in values]
    digits = 1 if target and target < CREATE_P95_MS else 0
    return Goal(what, f"≤ {target:g}{unit}", f"{_spread(values, digits)}{unit}", _verdict(good))


def _verdict(good: Sequence[bool]) -> str:
    if all(good):
        return "yes"
    return "unclear" if any(good) else "**no**"


def write(results: dict[str, Any]) -> None:
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(results, indent=1, ensure_ascii=False)
    (FOLDER / "benchmarks.json").write_text(f"{text}\n", "utf-8")
    (FOLDER / "benchmarks.md").write_text(render(results), "utf-8")


def stored() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "benchmarks.json").read_text("utf-8"))
    return found


def rate(figures: dict[str, Any]) -> float:
    """Good answers a second."""
    return float((figures["requests"] - figures["refused"]) / figures["seconds"])


def goals(results: dict[str, Any]) -> Iterator[Goal]:
    """Every target that the run says something about."""
    for case in CASES:
        columns = results["lists"][case.key]
        for peer, factor in PEERS.items():
            ratios = _ratios(columns["ours"], columns[peer], rate)
            yield at_least(f"B1 `{case.name}` against {peer}", factor, ratios, " times")
    yield from _rush_goals(results["rush"])
    for case in CASES:
        ratios = _ratios(*(results["growth"][case.key][size] for size in ("large", "small")), _p95)
        what = f"B4 p95 of `{case.name}`, large against small"
        yield at_most(what, GROWTH, ratios, " times")
    slowest = [_p95(each) for each in results["writes"]["large"]]
    yield at_most("B3 p95 of `POST /reports`, large archive", CREATE_P95_MS, slowest, " ms")
    weight = results["weight"]["ours"]
    yield at_most("B8 memory of a web process", WEB_RSS_MB, weight["rss_mb"][:1], " MB")
    yield at_most("B8 start to first answer", START_S, [weight["start_s"]], " s")


def missed(results: dict[str, Any]) -> list[Case]:
    """The lists that are not as much faster than a peer as they should be."""
    return [
        case
        for case in CASES
        if any(f"B1 `{case.name}`" in goal.what and goal.met != "yes" for goal in goals(results))
    ]


def _rush_goals(rush: dict[str, Any]) -> Iterator[Goal]:
    shares = [
        sum(map(rate, ours)) / sum(map(rate, bare))
        for ours, bare in zip(_both(rush, "ours"), _both(rush, "bare"), strict=True)
    ]
    yield at_least("B2 the mix against the bare view", RUSH_SHARE, shares)
    tails = [each["p99_ms"] / each["p50_ms"] for each in rush["kept"]["ours"]]
    yield at_most("B2 p99 against p50", TAIL, tails, " times")
    faults = sum(each["refused"] + each["broken"] for both in _both(rush, "ours") for each in both)
    yield at_most("B2 refused or broken", 0, [faults])
    spike = rush["spike"]
    broken = sum(each["broken"] for each in spike["who"].values())
    silent = spike["without_retry_after"] + broken + spike["probes"].get("none", 0)
    what = "B2 in a spike of ten times: broken, or refused without `Retry-After`"
    seen = "503" in spike["probes"] or not any(
        each["refused_rate"] for each in spike["who"].values()
    )
    yield (
        at_most(what, 0, [silent])
        if seen
        else Goal(what, "0", "no refusal was looked at", "unclear")
    )
    yield at_most("B2 recovered after the spike", RECOVERY_S, [spike["recovered_s"]], " s")


def _both(rush: dict[str, Any], name: str) -> list[tuple[dict[str, Any], ...]]:
    """Each round's figures of kept and of new connections."""
    return list(zip(rush["kept"][name], rush["anew"][name], strict=True))


def render(results: dict[str, Any]) -> str:
    return "\n".join(_lines(results)) + "\n"


def _lines(results: dict[str, Any]) -> Iterator[str]:
    machine, sizes = results["machine"], results["sizes"]
    yield f"""# Benchmarks

Written by `make bench`, which measures everything in one run on one machine: the load generator
(wrk), PostgreSQL and the programs share its cores. So the ratios can be compared with those of
another run, the absolute figures cannot. Before anything is timed, the programs have to give equal
answers ({results["compared"]} were compared).

| | |
|---|---|
| taken | {results["taken"]} at commit {results["commit"]} |
| machine | {machine["processor"]}, {machine["cores"]} cores, {machine["memory_gb"]} GB |
| software | Python {machine["python"]}, PostgreSQL {machine["postgresql"]} as it comes, fsync on |
| rounds | {results["rounds"]} of {results["seconds"]} s, programs in turn |
| a figure | median of the rounds, in brackets the lowest and the highest |

| program | is |
|---|---|"""
    for name, what in results["programs"].items():
        yield f"| {name} | {what} |"
    yield """
## Targets

Met means in every round, unclear in some of them.

| target | wanted | found | met |
|---|---|---|---|"""
    for goal in goals(results):
        yield goal.row()
    yield from _tables_of_lists(results)
    yield from _rush(results)
    yield from _growth(results, sizes)
    yield from _weight(results)
    yield from _profiles(results)


def _tables_of_lists(results: dict[str, Any]) -> Iterator[str]:
    yield f"""
## Lists of twenty rows

{results["connections"]["busy"]} kept connections, straight to each program, on
{results["sizes"]["small"]["reports"]:,} reports;
answers a second. `pgbench` sends the same statements without any Python. {results["readers"]}
people ask in turn. To be fair: this system remembers that it has checked the signature of a token,
asks a connection whether it lives only when it was idle, and reads the columns that it shows; the
peers check each token and each connection and map whole rows, as is usual. It writes a line of log
for each request, they do not.

| list | ours | fastapi | flask | pgbench | p95 ms: ours | fastapi | flask |
|---|---|---|---|---|---|---|---|"""
    for case in CASES:
        columns = results["lists"][case.key]
        names = ("ours", "fastapi", "flask")
        rates = [_spread([rate(each) for each in columns[name]], 0) for name in names]
        waits = [f"{median(map(_p95, columns[name])):.0f}" for name in names]
        floor = _spread(results["pgbench"][case.key], 0)
        yield f"| `{case.name}` | {' | '.join([*rates, floor, *waits])} |"
    yield f"\nThe bare view: {_spread([rate(each) for each in results['bare']], 0)} a second."


def _rush(results: dict[str, Any]) -> Iterator[str]:
    rush = results["rush"]
    shares = ", ".join(f"{RUSH[case.key]} % `{case.name}`" for case in CASES if case.key in RUSH)
    yield f"""
## The rush

{shares}. On {results["sizes"]["large"]["reports"]:,} reports,
through nginx as deployed, which keeps public lists for two seconds; the bare view through the same
nginx, which keeps nothing of it. {results["connections"]["kept"]} phones keep their connection,
{results["connections"]["anew"]} open one for each request. The list of alerts and `/sync` take
their part as soon as they exist.

| connections | ours, a second | p50 ms | p99 ms | bare view, a second |
|---|---|---|---|---|"""
    for kind, words in {"kept": "kept", "anew": "new each time"}.items():
        ours, bare = rush[kind]["ours"], rush[kind]["bare"]
        yield (
            f"| {words} | {_spread([*map(rate, ours)], 0)} | {_middle(ours, 'p50_ms'):.1f}"
            f" | {_middle(ours, 'p99_ms'):.1f} | {_spread([*map(rate, bare)], 0)} |"
        )
    spike = rush["spike"]
    told = ", ".join(f"{count} times {status}" for status, count in spike["probes"].items())
    yield f"""
Then ten times as many connections for {results["seconds"]} s, public and signed in apart, since
nginx answers the public ones from what it keeps. Beyond its places the application refuses at once,
with 503 and `Retry-After`; single phones that looked every 0.1 s were told {told}.
As quick as before {spike["recovered_s"]:.1f} s after its end.

| who | before, good a second | in the spike, good a second | refused a second | p99 ms |
|---|---|---|---|---|"""
    for name, each in spike["who"].items():
        yield (
            f"| {name} | {each['calm_rate']:,.0f} | {each['rate']:,.0f}"
            f" | {each['refused_rate']:,.0f} | {each['p99_ms']:.0f} |"
        )


def _growth(results: dict[str, Any], sizes: dict[str, Any]) -> Iterator[str]:
    small, large = (sizes[name]["reports"] for name in ("small", "large"))
    connections = results["connections"]
    yield f"""
## Growth of the archive

The same program on {small:,} and on {large:,} reports; p95 in ms with so many connections:
{connections["calm"]} for lists, {connections["busy"]} for `POST /reports`, each by another citizen,
while no worker runs.

| request | {small:,} | {large:,} |
|---|---|---|"""
    rows = {f"`{case.name}`": results["growth"][case.key] for case in CASES}
    rows["`POST /reports`"] = results["writes"]
    for name, columns in rows.items():
        waits = [_spread([*map(_p95, columns[size])]) for size in ("small", "large")]
        yield f"| {name} | {' | '.join(waits)} |"
    rates = [_spread([*map(rate, results["writes"][size])], 0) for size in ("small", "large")]
    yield f"\nReports taken in a second: {rates[0]} and {rates[1]}."


def _weight(results: dict[str, Any]) -> Iterator[str]:
    yield """
## Weight

After the lists above: resident memory of each process, and the time from start to first answer.

| program | MB | start, s |
|---|---|---|"""
    for name, weight in results["weight"].items():
        sizes = ", ".join(f"{each:.0f}" for each in weight["rss_mb"])
        yield f"| {name} | {sizes} | {weight['start_s']:.1f} |"


def _profiles(results: dict[str, Any]) -> Iterator[str]:
    if not results.get("profiles"):
        return
    yield """
## Where the time goes

Of the requests behind a target that was missed: the share of a request's own time in Python by
function, from cProfile in one thread, the largest first."""
    for name, rows in results["profiles"].items():
        yield f"\n`{name}`\n\n| share | function |\n|---|---|"
        for share, function in rows:
            yield f"| {share:.1f} % | `{function}` |"


def _p95(figures: dict[str, Any]) -> float:
    return float(figures["p95_ms"])


def _middle(rounds: Sequence[dict[str, Any]], name: str) -> float:
    return median(each[name] for each in rounds)


def _ratios(some: Sequence[Any], others: Sequence[Any], value: Any) -> list[float]:
    return [value(one) / value(other) for one, other in zip(some, others, strict=True)]


def _spread(values: Sequence[float], digits: int = 1) -> str:
    def told(value: float) -> str:
        return f"{value:,.{digits}f}"

    if len(values) == 1:
        return told(values[0])
    return f"{told(median(values))} ({told(min(values))} to {told(max(values))})"
