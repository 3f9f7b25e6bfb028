"""Work for later, put into the queue in the transaction of the change that asks for it.

Jobs are named, not imported: the tasks live in the package jobs, above this one. Arguments are
ids only, since the queue's tables are read by people who operate it.
"""

import datetime as dt
import uuid

import procrastinate
import structlog
from sqlalchemy.orm import Session

# Never opened: a job is written through the session's own connection.
_APP = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())


def defer(
    session: Session,
    task: str,
    *,
    queue: str,
    subject_id: uuid.UUID,
    at: dt.datetime | None = None,
) -> None:
    """Queue `task` for `subject_id`; it runs after the commit, not before `at`, at least once."""
    session.flush()
    # The request's id goes along, so that the log of a job leads back to its cause.
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    _APP.configure_task(
        task,
        queue=queue,
        schedule_at=at,
        connection=session.connection().connection.driver_connection,
    ).defer(subject_id=str(subject_id), request_id=request_id)
