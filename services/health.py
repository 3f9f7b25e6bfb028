"""What monitoring wants to know of the database and its queue."""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from services import durability

# Heartbeats are written by the database's clock and compared with it; schedules by ours.
_FACTS = text(
    """
    SELECT (SELECT version_num FROM alembic_version) AS revision,
           (SELECT count(*) FROM procrastinate_workers
             WHERE last_heartbeat > now() - make_interval(secs => :alive_s)) AS workers,
           (SELECT extract(epoch FROM now() - max(last_heartbeat))
              FROM procrastinate_workers) AS silent_s
    """
)
_QUEUES = text(
    """
    SELECT jobs.queue_name AS queue, count(*) AS waiting,
           min(coalesce(jobs.scheduled_at, events.at)) AS oldest
      FROM procrastinate_jobs AS jobs
      LEFT JOIN procrastinate_events AS events
        ON events.job_id = jobs.id AND events.type = 'deferred'
     WHERE jobs.status = 'todo' AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= :now)
     GROUP BY jobs.queue_name
    """
)
_FAILED = text(
    """
    SELECT queue_name AS queue, count(*) AS failed
      FROM procrastinate_jobs WHERE status = 'failed' GROUP BY queue_name
    """
)
_UNSAFE = text(durability.FACTS)
ALIVE_WITHIN_S = 30


@dataclass(frozen=True, slots=True)
class Queue:
    """Jobs that are due; `oldest_s` is how many seconds the first of them has been."""

    waiting: int
    oldest_s: int


@dataclass(frozen=True, slots=True)
class Health:
    """`silent_s` is the age of the newest worker's heartbeat in seconds; None without workers.

    `revision` is the schema's number, of four digits, so that an older one sorts before a newer.
    """

    revision: str
    workers: int
    silent_s: float | None
    queues: dict[str, Queue]
    faults: list[str]


def check(session: Session, *, at: dt.datetime) -> Health:
    """Raises SQLAlchemy's errors when the database does not answer."""
    row = session.execute(_FACTS, {"alive_s": ALIVE_WITHIN_S}).one()
    silent_s = None if row.silent_s is None else float(row.silent_s)
    faults = durability.faults(dict(session.execute(_UNSAFE).mappings().one()))
    return Health(row.revision or "", row.workers, silent_s, queues(session, at=at), faults)


def queues(session: Session, *, at: dt.datetime) -> dict[str, Queue]:
    """What waits in each queue; one where nothing waits is missing."""
    return {
        row.queue: Queue(row.waiting, max(0, round((at - (row.oldest or at)).total_seconds())))
        for row in session.execute(_QUEUES, {"now": at})
    }


def failed_jobs(session: Session) -> dict[str, int]:
    """How many jobs of each queue were given up and wait for a person."""
    return {row.queue: row.failed for row in session.execute(_FAILED)}
