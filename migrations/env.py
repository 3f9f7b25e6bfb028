"""How revisions are run: as the owner, one migrator at a time, and never waiting long for a lock.

MIGRATION_DATABASE_URL names the owner; the role of DATABASE_URL is the application's, which gets
its rights on what is there after each run and cannot change the schema.
"""

import os
from urllib.parse import urlsplit

from alembic import context
from sqlalchemy import Connection, create_engine, text

from models import Base

ADVISORY_LOCK = 6_411_901
APPEND_ONLY = ("audit_events",)
LOCK_TIMEOUT = "4s"
STATEMENT_TIMEOUT = "5s"


def is_ours(_object: object, name: str | None, kind: str, *_rest: object) -> bool:
    """The queue's tables belong to procrastinate, which tells its own versions apart."""
    return not (kind == "table" and name is not None and name.startswith("procrastinate_"))


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_object=is_ours,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def grant_rights(connection: Connection, role: str) -> None:
    """Give the application what it needs and no more: it cannot rewrite the audit log."""
    quoted = connection.dialect.identifier_preparer.quote_identifier(role)
    for statement in (
        f"GRANT USAGE ON SCHEMA public TO {quoted}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {quoted}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {quoted}",
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {quoted}",
        f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {quoted}",
        *(f"REVOKE UPDATE, DELETE ON {name} FROM {quoted}" for name in APPEND_ONLY),
    ):
        connection.execute(text(statement))


def main() -> None:
    owner_url = os.environ.get("MIGRATION_DATABASE_URL") or os.environ["DATABASE_URL"]
    engine = create_engine(owner_url.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(text(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'"))
        connection.commit()
        try:
            run(connection)
            connection.commit()
            role = urlsplit(os.environ.get("DATABASE_URL", "")).username
            if role and role != urlsplit(owner_url).username:
                grant_rights(connection, role)
                connection.commit()
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": ADVISORY_LOCK})
            connection.commit()
    engine.dispose()


main()
