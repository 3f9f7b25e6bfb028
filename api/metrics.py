"""Figures for Prometheus on a port of their own: `python -m api.metrics`.

METRICS_PORT                its port
METRICS_HOST                its address (127.0.0.1); a container has to listen on all of its own
PROMETHEUS_MULTIPROC_DIR    the folder that the web processes write their figures into
DATABASE_URL                where jobs wait
"""

import datetime as dt
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from api.bounded import Bounded
from api.clock import utc_now
from api.instruments import VARIABLE, alone
from models import Database
from services import audit, health
from services.privacy import breaches, erasure
from settings import SettingsError, variable

# Prometheus itself waits for ten seconds, and a figure that is missing raises no alarm.
PATIENCE_S = 2.0


class Processes(Collector):
    """The figures of every process, living or dead, of every instance."""

    def __init__(self, shared: Path) -> None:
        self._shared = shared

    def collect(self) -> list[Metric]:
        with alone(self._shared):
            files = [str(path) for path in self._shared.rglob("*.db") if path.stat().st_size]
            return list(MultiProcessCollector.merge(files))


class Queues(Collector):
    """What waits in the database for workers and for people.

    `database_up` is 0 when it cannot be asked.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._found = Bounded(self._asked, PATIENCE_S)

    def collect(self) -> Iterator[Metric]:
        try:
            found, failed, audited, overdue, unerased = self._found()
        except (SQLAlchemyError, TimeoutError):
            yield GaugeMetricFamily("database_up", "Whether the database answers", 0)
            return
        yield GaugeMetricFamily("database_up", "Whether the database answers", 1)
        yield GaugeMetricFamily("workers_alive", "Workers with a heartbeat", found.workers)
        for name, words, since in (
            (
                "audit_unchained_seconds",
                "Age of the oldest unchained event",
                audited.unchained_since,
            ),
            ("audit_unsigned_seconds", "Age of the oldest unsigned event", audited.unsigned_since),
        ):
            yield GaugeMetricFamily(name, words, _age(since))
        yield GaugeMetricFamily(
            "breaches_unnotified_overdue",
            "Breaches of personal data that the authority was not told of within 72 hours",
            overdue,
        )
        yield GaugeMetricFamily(
            "erasures_overdue", "People who should have been erased an hour ago", unerased
        )
        gauges = [
            ("jobs_waiting", "Jobs that are due", _by(found.queues, "waiting")),
            ("jobs_oldest_seconds", "Age of the oldest due job", _by(found.queues, "oldest_s")),
            ("jobs_failed", "Jobs given up, for a person to look at", failed),
        ]
        for name, words, values in gauges:
            gauge = GaugeMetricFamily(name, words, labels=["queue"])
            for queue, value in values.items():
                gauge.add_metric([queue], value)
            yield gauge

    def _asked(self) -> tuple[health.Health, dict[str, int], audit.Standing, int, int]:
        now = utc_now()
        with self._db.reading() as session:
            return (
                health.check(session, at=now),
                health.failed_jobs(session),
                audit.standing(session),
                breaches.overdue(session, at=now),
                erasure.overdue(session, at=now),
            )


def _by(queues: dict[str, health.Queue], name: str) -> dict[str, int]:
    return {queue: getattr(found, name) for queue, found in queues.items()}


def _age(since: dt.datetime | None) -> float:
    return max(0.0, (utc_now() - since).total_seconds()) if since else 0.0


def main() -> None:
    """Serve the figures until SIGTERM."""
    registry = CollectorRegistry()
    registry.register(Processes(Path(os.environ[VARIABLE])))
    try:
        url = variable("DATABASE_URL")
    except SettingsError as error:
        sys.exit(str(error))
    db = Database.at(url, pool_size=1, max_overflow=0, pool_timeout=2)
    registry.register(Queues(db))
    server, thread = start_http_server(
        int(os.environ["METRICS_PORT"]),
        addr=os.environ.get("METRICS_HOST") or "127.0.0.1",
        registry=registry,
    )
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.shutdown()
    thread.join()


if __name__ == "__main__":
    main()
