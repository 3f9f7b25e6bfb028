"""What monitoring wants to know of the database and its queue."""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

_QUEUE = text(
    """
    SELECT (SELECT count(*) FROM procrastinate_workers
             WHERE last_heartbeat > :alive_since) AS workers,
           (SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'
               AND (scheduled_at IS NULL OR scheduled_at <= :now)) AS waiting,
           (SELECT min(coalesce(jobs.scheduled_at, events.at))
              FROM procrastinate_jobs AS jobs
              JOIN procrastinate_events AS events
                ON events.job_id = jobs.id AND events.type = 'deferred'
             WHERE jobs.status = 'todo'
               AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= :now)) AS oldest
    """
)
ALIVE_WITHIN = dt.timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Health:
    """`revision` is the schema's; `oldest_job_s` the age in seconds of what waits longest."""

    revision: str
    workers: int
    waiting: int
    oldest_job_s: int


def check(session: Session, *, at: dt.datetime) -> Health:
    """Raises SQLAlchemy's errors when the database does not answer."""
    revision = session.scalar(text("SELECT version_num FROM alembic_version"))
    row = session.execute(_QUEUE, {"now": at, "alive_since": at - ALIVE_WITHIN}).one()
    oldest = round((at - row.oldest).total_seconds()) if row.oldest else 0
    return Health(str(revision), row.workers, row.waiting, max(0, oldest))
