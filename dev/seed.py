"""Fill a migrated database with years of invented use: `python -m dev.seed`, `make seed-large`.

The same seed and end give the same rows, ids too, so that measurements can be repeated. The rows
are those that the application would have left, in the order of their ids, and numbers of reports
come from its own sequence: it simply goes on from here.

The database is that of DATABASE_URL (or MIGRATION_DATABASE_URL, since it must be reached as its
owner), or else the local one of DATA_DIR, which `make run` made.
"""

import argparse
import contextlib
import datetime as dt
import os
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg

from dev.config import Config, Problem
from dev.postgres import OWNER, Cluster, PostgresFailed
from dev.seed_rows import (
    COLUMNS,
    MESSAGES_A_REPORT,
    Batch,
    Facts,
    People,
    Period,
    WorkingTime,
    World,
    reports,
    spots,
)
from services.calendar import HOURS_A_DAY

BATCH = 10_000
# Aimed a little too high, since the number of messages of a report is drawn; then cut off.
SURPLUS = 1.05
# VACUUM marks nothing as visible to all before its commit is written; a server for tests may delay.
WRITTEN = "-c synchronous_commit=on"
CENTRES = """
    SELECT new.code, new.full_name, old.lat, old.lng
      FROM legacy_places old
      JOIN legacy_pairs ON old_code = old.code AND is_default
      JOIN places new ON new.code = new_code
     ORDER BY old.code
"""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much to make; of the messages, the newest so many are still there."""

    reports: int = 1_000_000
    messages: int = 2_000_000
    citizens: int = 300_000


def fill(
    url: str,
    sizes: Sizes | None = None,
    *,
    seed: int = 1,
    until: dt.datetime | None = None,
    add: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Fill the database at its owner's `url`, all or nothing; the newest rows end at `until`.

    Without `until`, they end with yesterday (UTC). `add` puts the rows beside those that are there.

    Raises:
        Problem: the database is not one that may be filled.
    """
    sizes = sizes or Sizes()
    today = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with psycopg.connect(url, options=WRITTEN) as connection:
        _require_a_fit_one(connection, add=add)
        Filling(connection, sizes, Period(until or today), seed, tell).run()
    with psycopg.connect(url, options=WRITTEN, autocommit=True) as connection:
        # Plans need figures, and index-only scans a map of the pages that all may see.
        connection.execute(f"VACUUM (ANALYZE) {', '.join(COLUMNS)}")


def _require_a_fit_one(connection: psycopg.Connection, *, add: bool) -> None:
    migrated = connection.execute("SELECT to_regclass('reports')::oid").fetchone()
    if migrated in {None, (None,)}:
        raise Problem("The database has no tables yet: alembic upgrade head.")
    owned, ready, used = connection.execute(
        "SELECT (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = %s),"
        " EXISTS (SELECT FROM categories) AND EXISTS (SELECT FROM legacy_pairs),"
        " EXISTS (SELECT FROM reports)",
        migrated,
    ).fetchone() or (False, False, False)
    if not owned:
        raise Problem("The address must be that of the database's owner.")
    if not ready:
        raise Problem("The reference data is missing: flask --app wsgi load-reference.")
    if used and not add:
        raise Problem("There are reports in this database; --add puts more beside them.")


class Filling:
    """One run, in one transaction; batches are made in a thread while others are copied."""

    def __init__(
        self,
        connection: psycopg.Connection,
        sizes: Sizes,
        period: Period,
        seed: int,
        tell: Callable[[str], None],
    ) -> None:
        self.connection, self.sizes, self.period = connection, sizes, period
        self.seed, self.tell = seed, tell
        self.rng = random.Random(f"{seed}/people")  # noqa: S311 - the same rows every time
        self.began = time.monotonic()

    def run(self) -> None:
        with ThreadPoolExecutor(1) as maker:
            self.maker = maker
            world = self._people()
            self._reports(world)
        self._forget_surplus_messages()

    def _people(self) -> World:
        facts = self._facts()
        where = spots(self.rng, facts)
        people = People(self.rng, self.seed, self.period, where)
        batch, offices = people.staff()
        self._copy(batch)
        total = self.sizes.citizens
        jobs = [(first, min(first + BATCH, total), total) for first in range(0, total, BATCH)]
        citizens: list[str] = []
        for batch, ids in self._ahead(people.citizens, jobs):
            self._copy(batch)
            citizens += ids
            self._progress("citizens", len(citizens), total)
        return World(
            self.seed, self.period, facts, where, offices, citizens, WorkingTime(self.period)
        )

    def _reports(self, world: World) -> None:
        total = self.sizes.reports
        numbers = self._numbers(total)
        told_from = total - int(self.sizes.messages * SURPLUS / MESSAGES_A_REPORT) - BATCH // 100
        jobs = [
            (world, numbers[first : first + BATCH], first, total, told_from)
            for first in range(0, total, BATCH)
        ]
        done = 0
        for batch in self._ahead(reports, jobs):
            self._copy(batch)
            done += len(batch["reports"])
            self._progress("reports", done, total)

    def _facts(self) -> Facts:
        run = self.connection.execute
        return Facts(
            centres=run(CENTRES).fetchall(),
            departments=dict(run("SELECT code, name FROM departments").fetchall()),
            hours={
                code: (acknowledge, days * HOURS_A_DAY)
                for code, acknowledge, days in run(
                    "SELECT code, acknowledge_hours, resolve_days FROM categories"
                )
            },
        )

    def _numbers(self, count: int) -> list[int]:
        """Numbers of reports, taken as the application takes them."""
        rows = self.connection.execute(
            "SELECT nextval('report_numbers') FROM generate_series(1, %s)", [count]
        )
        return [number for (number,) in rows]

    def _copy(self, batch: Batch) -> None:
        for table, columns in COLUMNS.items():
            if lines := batch.get(table):
                with self.connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                    copy.write("\n".join(lines) + "\n")

    def _ahead(self, make: Callable[..., Any], jobs: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        """What `make` makes of each job, while the one before it is in use."""
        previous: Future[Any] | None = None
        for job in jobs:
            following = self.maker.submit(make, *job)
            if previous is not None:
                yield previous.result()
            previous = following
        if previous is not None:
            yield previous.result()

    def _progress(self, what: str, done: int, total: int) -> None:
        self.tell(f"{time.monotonic() - self.began:6.0f} s  {done:>9,} of {total:,} {what}")

    def _forget_surplus_messages(self) -> None:
        self.connection.execute(
            "DELETE FROM inbox_messages WHERE id IN"
            " (SELECT id FROM inbox_messages ORDER BY id DESC OFFSET %s)",
            [self.sizes.messages],
        )


def main() -> int:
    """Fill the database that the environment names."""
    parser = argparse.ArgumentParser(prog="python -m dev.seed", description=main.__doc__)
    parser.add_argument("--reports", type=int, default=Sizes().reports)
    parser.add_argument("--messages", type=int, default=Sizes().messages)
    parser.add_argument("--citizens", type=int, default=Sizes().citizens)
    parser.add_argument("--seed", type=int, default=1, help="other numbers give other rows")
    parser.add_argument("--add", action="store_true", help="even where there are reports already")
    given = parser.parse_args()
    sizes = Sizes(given.reports, given.messages, given.citizens)
    try:
        with _database() as url:
            fill(url, sizes, seed=given.seed, add=given.add, tell=print)
    except (Problem, psycopg.Error) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def _database() -> Iterator[str]:
    """The owner's address; the local server is started unless it runs."""
    if given := os.environ.get("MIGRATION_DATABASE_URL") or os.environ.get("DATABASE_URL"):
        yield given
        return
    config = Config.from_env()
    if not (config.data_dir / "secrets").exists():
        raise Problem(f"There is no database in {config.data_dir}: make run makes one.")
    cluster = Cluster(config.data_dir / "postgres", config.database_port)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(PostgresFailed):  # `make run` runs it already.
            stack.enter_context(cluster)
        yield cluster.url(OWNER)


if __name__ == "__main__":
    sys.exit(main())
