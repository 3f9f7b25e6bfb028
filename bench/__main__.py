"""`make bench`: everything in one run on one machine, in turn, so that ratios can be believed.

Writes docs/benchmarks.json, which holds every figure of every round, and docs/benchmarks.md.
"""

import argparse
import contextlib
import dataclasses
import datetime as dt
import itertools
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from bench import floors, profiles, report
from bench.programs import (
    BARE,
    FASTAPI,
    FLASK,
    OURS,
    Program,
    Running,
    a_database,
    behind_nginx,
    started,
)
from bench.spike import spike
from bench.subjects import CASES, Subjects, require_equal_answers
from bench.wrk import Figures, Request, begin, measure
from dev.config import PROJECT
from dev.seed import Sizes, fill

SMALL = Sizes(reports=10_000, messages=20_000, citizens=3_000)
# As many as keep every program busy; one where a latency is asked for instead of a rate, since two
# may meet in one process or not, and wait for each other twice as long or not at all.
BUSY, CALM = 16, 1
# Phones that keep their connection, and such that open one for each request.
KEPT, ANEW = 24, 8
WARM_UP_S = 1

Rounds = list[dict[str, Any]]
_runs = itertools.count(1)


@dataclass
class Bench:
    """One run of everything."""

    directory: Path
    large: Sizes
    rounds: int
    seconds: int

    def run(self) -> dict[str, Any]:
        with self._filled("small", SMALL) as small, self._filled("large", self.large) as large:
            sizes = {"small": dataclasses.asdict(SMALL), "large": dataclasses.asdict(self.large)}
            results = {
                "taken": dt.datetime.now(dt.UTC).isoformat(timespec="minutes"),
                "commit": _commit(),
                "machine": _machine(small),
                "rounds": self.rounds,
                "seconds": self.seconds,
                "connections": {"busy": BUSY, "calm": CALM, "kept": KEPT, "anew": ANEW},
                "sizes": sizes,
                **self._lists(small),
                **self._growth(small, large),
                "rush": self._rush(large),
            }
            missed = report.missed(results)
            results["profiles"] = {case.name: profiles.of(small, case) for case in missed}
            return results

    @contextlib.contextmanager
    def _filled(self, name: str, sizes: Sizes) -> Iterator[dict[str, str]]:
        with a_database(self.directory / name) as environment:
            began = time.monotonic()
            fill(environment["OWNERS_URL"], sizes)
            _tell(f"filled the {name} database in {time.monotonic() - began:.0f} s")
            yield environment

    def _lists(self, environment: Mapping[str, str]) -> dict[str, Any]:
        """The lists, on each program in turn; and what nobody can be faster than."""
        subjects = Subjects(environment)
        with contextlib.ExitStack() as stack:
            running = {
                program.name: stack.enter_context(self._started(program, environment))
                for program in (OURS, FASTAPI, FLASK, BARE)
            }
            rivals = {name: each.url for name, each in running.items() if name != BARE.name}
            compared = require_equal_answers(subjects, rivals)
            _tell(f"{compared} answers are equal")
            found: dict[str, Any] = {case.key: _columns(rivals) for case in CASES}
            bare: Rounds = []
            pgbench = {case.key: [] for case in CASES}
            for _ in range(self.rounds):
                for case in CASES:
                    for name, url in rivals.items():
                        figures = self._measure(url, partial(subjects.reads, case), BUSY)
                        found[case.key][name].append(figures)
                    pgbench[case.key].append(self._floor(environment, subjects, case))
                bare.append(self._measure(running["bare"].url, _one, BUSY))
            weight = {
                name: {"rss_mb": each.rss_mb(), "start_s": each.start_s}
                for name, each in running.items()
            }
        programs = {each.name: each.what for each in (OURS, FASTAPI, FLASK, BARE)}
        return {
            "programs": programs, "compared": compared, "readers": len(subjects.readers),
            "lists": found, "bare": bare,
            "pgbench": pgbench, "weight": weight,
        }  # fmt: skip

    def _floor(self, environment: Mapping[str, str], subjects: Subjects, case: Any) -> float:
        program = Path(environment["PGBENCH"])
        return floors.rate(program, subjects, case, connections=BUSY, seconds=self.seconds)

    def _growth(self, small: Mapping[str, str], large: Mapping[str, str]) -> dict[str, Any]:
        """The same program on a small and a large archive, calm; and how new reports come in."""
        sizes = {"small": small, "large": large}
        growth: dict[str, Any] = {case.key: _columns(sizes) for case in CASES}
        writes: dict[str, Rounds] = _columns(sizes)
        with contextlib.ExitStack() as stack:
            running = {
                name: stack.enter_context(self._started(OURS, environment, name))
                for name, environment in sizes.items()
            }
            subjects = {name: Subjects(environment) for name, environment in sizes.items()}
            for _ in range(self.rounds):
                for case in CASES:
                    for name in sizes:
                        asked = partial(subjects[name].reads, case)
                        figures = self._measure(running[name].url, asked, CALM)
                        growth[case.key][name].append(figures)
                for name in sizes:
                    asked = partial(subjects[name].writes, SMALL.citizens)
                    writes[name].append(self._measure(running[name].url, asked, BUSY, warm=False))
        return {"growth": growth, "writes": writes}

    def _rush(self, environment: Mapping[str, str]) -> dict[str, Any]:
        """What a warning of a flood brings, through nginx, beside the bare view through nginx."""
        subjects = Subjects(environment)
        mixes: dict[str, Callable[[], list[Request]]] = {"ours": subjects.rush, "bare": _one}
        found: dict[str, Any] = {"kept": _columns(mixes), "anew": _columns(mixes)}
        with (
            behind_nginx(OURS, environment, self.directory) as ours,
            behind_nginx(BARE, environment, self.directory) as bare,
        ):
            urls = {"ours": ours.url, "bare": bare.url}
            for _ in range(self.rounds):
                for name, mix in mixes.items():
                    self._measure(urls[name], mix, BUSY, seconds=WARM_UP_S, warm=False)
                    both = {
                        "kept": _begin(urls[name], mix(), KEPT, self.seconds),
                        "anew": _begin(urls[name], mix(), ANEW, self.seconds, keep_alive=False),
                    }
                    for kind, load in both.items():
                        found[kind][name].append(dataclasses.asdict(load.figures()))
            _tell("the rush is over; now a spike of ten times as many")
            mixed = subjects.rush()
            asked = {
                "public": [each for each in mixed if each.authorization == "-"],
                "signed in": [each for each in mixed if each.authorization != "-"],
            }
            calm = {name: (KEPT + ANEW) * len(some) // 100 for name, some in asked.items()}
            found["spike"] = spike(ours.url, asked, calm=calm, factor=10, seconds=self.seconds)
        return found

    @contextlib.contextmanager
    def _started(
        self, program: Program, environment: Mapping[str, str], suffix: str = ""
    ) -> Iterator[Running]:
        log = self.directory / f"{program.name}{suffix}.log"
        with started(program, environment, log) as running:
            yield running

    def _measure(
        self,
        url: str,
        requests: Callable[[], list[Request]],
        connections: int,
        *,
        seconds: int | None = None,
        warm: bool = True,
    ) -> dict[str, Any]:
        asked = requests()
        if warm:
            measure(url, asked, connections=connections, seconds=WARM_UP_S)
        load = _begin(url, asked, connections, seconds or self.seconds)
        figures = load.figures()
        _tell(f"{url} {asked[0].method} {asked[0].path}: {_short(figures)}")
        return dataclasses.asdict(figures)


def _begin(
    url: str, requests: list[Request], connections: int, seconds: int, *, keep_alive: bool = True
) -> Any:
    run = f"{os.getpid()}-{next(_runs)}"
    return begin(
        url, requests, connections=connections, seconds=seconds, keep_alive=keep_alive, run=run
    )


def _one() -> list[Request]:
    return [Request("GET", "/")]


def _columns(names: Mapping[str, Any]) -> dict[str, Rounds]:
    return {name: [] for name in names}


def _short(figures: Figures) -> str:
    return f"{figures.rate:.0f}/s, p95 {figures.p95_ms:.1f} ms, {figures.refused} refused"


def _tell(words: str) -> None:
    print(words, flush=True)


def _commit() -> str:
    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=PROJECT, check=False, capture_output=True, text=True
        )
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--", ".", ":!docs")
    return git("rev-parse", "--short", "HEAD") + (" and uncommitted changes" if changed else "")


def _machine(environment: Mapping[str, str]) -> dict[str, Any]:
    with psycopg.connect(environment["DATABASE_URL"]) as connection:
        version = connection.info.server_version // 10000
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9),
        "python": platform.python_version(),
        "postgresql": version,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--reports", type=int, default=Sizes().reports, help="of the large archive")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    given = parser.parse_args()
    large = Sizes(given.reports, given.reports * 2, max(3_000, given.reports * 3 // 10))
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        directory = Path(made)
        directory.chmod(0o711)  # PostgreSQL, which is not root, has to pass.
        results = Bench(directory, large, given.rounds, given.seconds).run()
    report.write(results)


if __name__ == "__main__":
    main()
