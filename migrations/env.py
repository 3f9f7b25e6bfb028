"""How revisions are run: as the owner, one migrator at a time, and never waiting long for a lock.

MIGRATION_DATABASE_URL names the owner; the role of DATABASE_URL is the application's, which gets
its rights on what is there after each run and cannot change the schema. With --sql the statements
are printed instead, and no database is needed.
"""

import contextlib
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from alembic import context
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.dialects import postgresql

from migrations.online import timeouts, until_unlocked
from models import AuditEvent, Base
from settings import variable

ADVISORY_LOCK = 6_411_901
APPEND_ONLY = ("audit_events", "audit_chain", "audit_checkpoints")
# What has to be proved later is never deleted; of a consent only its end is ever written.
KEPT = ("consents", "breaches")
TURN_PAUSE_S = 0.5


def is_ours(_object: object, name: str | None, kind: str, *_rest: object) -> bool:
    """The queue's tables belong to procrastinate, which tells its own versions apart."""
    return not (kind == "table" and name is not None and name.startswith("procrastinate_"))


def rights(owner_url: str) -> Iterator[str]:
    """What gives the application what it needs and no more: it cannot rewrite what is a record."""
    role = urlsplit(variable("DATABASE_URL")).username
    if not role or role == urlsplit(owner_url).username:
        return
    quoted = postgresql.dialect().identifier_preparer.quote_identifier(role)
    yield f"GRANT USAGE ON SCHEMA public TO {quoted}"
    yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {quoted}"
    yield f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {quoted}"
    yield f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {quoted}"
    yield f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {quoted}"
    for name in APPEND_ONLY:
        yield f"REVOKE UPDATE, DELETE ON {name} FROM {quoted}"
    # Which transaction wrote an event is for PostgreSQL alone to say.
    told = ", ".join(column.name for column in AuditEvent.__table__.columns if column.name != "xid")
    yield f"REVOKE INSERT ON audit_events FROM {quoted}"
    yield f"GRANT INSERT ({told}) ON audit_events TO {quoted}"
    for name in KEPT:
        yield _if_there(name, f"REVOKE DELETE ON {name} FROM {quoted}")
    yield _if_there("consents", f"REVOKE UPDATE ON consents FROM {quoted}")
    yield _if_there("consents", f"GRANT UPDATE (withdrawn_at) ON consents TO {quoted}")


def _if_there(table: str, statement: str) -> str:
    """`statement`, for a table that a step back may have taken away."""
    test = f"to_regclass('{table}') IS NOT NULL"
    return f"DO $body$ BEGIN IF {test} THEN {statement}; END IF; END $body$"


def tell(message: str) -> None:
    sys.stderr.write(f"{message}\n")


def tell_revision(*, step: Any, **_rest: Any) -> None:
    tell(f"{step.up_revision_id} is {'applied' if step.is_upgrade else 'undone'}.")


@contextlib.contextmanager
def turn(connection: Connection) -> Iterator[None]:
    """One migrator at a time.

    The others ask now and then instead of waiting in the database: a statement that waits there
    is what the first one's concurrent index would wait for in its turn.
    """
    while not connection.scalar(text(f"SELECT pg_try_advisory_lock({ADVISORY_LOCK})")):
        connection.commit()
        time.sleep(TURN_PAUSE_S)
    connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(text(f"SELECT pg_advisory_unlock({ADVISORY_LOCK})"))
        connection.commit()


def is_ahead(connection: Connection) -> bool:
    """Whether a newer release was here: its schema is fit for this one too, which goes back to it."""
    found = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()
    if found is None or found in {script.revision for script in context.script.walk_revisions()}:
        return False
    if found < str(context.script.get_current_head()):
        raise CommandError(f"The schema is at {found}, which nobody knows.")
    tell(f"The schema is at {found}, made by a newer release; it stays as it is.")
    return True


def attempt(connection: Connection, owner_url: str) -> None:
    """Run what is still to be run; what was committed before an interruption stays."""
    connection.rollback()
    for statement in timeouts():
        connection.execute(text(statement))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_object=is_ours,
        transaction_per_migration=True,
        on_version_apply=tell_revision,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
    for statement in rights(owner_url):
        connection.execute(text(statement))
    connection.commit()


def run() -> None:
    owner_url = variable("MIGRATION_DATABASE_URL") or variable("DATABASE_URL")
    engine = create_engine(
        owner_url.replace("postgresql://", "postgresql+psycopg://", 1),
        connect_args={"application_name": "alembic"},
    )
    with engine.connect() as connection, turn(connection):
        if not is_ahead(connection):
            until_unlocked(partial(attempt, connection, owner_url), tell)
    engine.dispose()


def print_sql() -> None:
    context.configure(
        dialect_name="postgresql",
        target_metadata=Base.metadata,
        literal_binds=True,
        transaction_per_migration=True,
    )
    for statement in timeouts():
        context.execute(statement)
    with context.begin_transaction():
        context.run_migrations()
    for statement in rights(variable("MIGRATION_DATABASE_URL")):
        context.execute(statement)


if context.is_offline_mode():
    print_sql()
else:
    run()
