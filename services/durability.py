"""Whether a database keeps what it is given, and its application's role in its place.

Written for psycopg alone, since the process that watches over the web workers asks it too and has
no use for an ORM.
"""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.rows import dict_row

# https://www.postgresql.org/docs/15/runtime-config-wal.html says what each setting risks; the
# rights are those that migrations/env.py grants.
FACTS = """
SELECT current_setting('fsync') = 'on' AS fsync,
       current_setting('full_page_writes') = 'on' AS full_page_writes,
       current_setting('synchronous_commit') <> 'off' AS synchronous_commit,
       NOT rolsuper AS no_superuser,
       NOT has_schema_privilege('public', 'CREATE')
           AND NOT has_database_privilege(current_database(), 'CREATE') AS no_ddl,
       NOT EXISTS (
           SELECT FROM pg_class
            WHERE oid IN (to_regclass('audit_events'), to_regclass('audit_chain'),
                          to_regclass('audit_checkpoints'))
              AND (has_table_privilege(oid, 'DELETE, TRUNCATE')
                   OR has_any_column_privilege(oid, 'UPDATE')))
       AND NOT EXISTS (
           SELECT FROM pg_attribute
            WHERE attrelid = to_regclass('audit_events') AND attname = 'xid'
              AND has_column_privilege(attrelid, attnum, 'INSERT')) AS no_rewriting,
       coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)
           OR coalesce(inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1', true)
           AS confidential
  FROM pg_roles WHERE rolname = current_user
"""
FAULTS = {
    "fsync": "fsync is off",
    "full_page_writes": "full_page_writes is off",
    "synchronous_commit": "synchronous_commit is off",
    "no_superuser": "the role is a superuser",
    "no_ddl": "the role may create things",
    "no_rewriting": "the role may rewrite the audit log",
    "confidential": "the connection is neither local nor encrypted (sslmode=verify-full)",
}
CONNECT_S = 3


class UnsafeDatabase(Exception):
    """This database would lose or expose what it is given; the message names every fault."""


def require(database_url: str) -> None:
    """Refuse an unsafe database; one that does not answer yet is readiness' matter.

    Raises:
        UnsafeDatabase
    """
    try:
        with psycopg.connect(
            database_url, connect_timeout=CONNECT_S, row_factory=dict_row
        ) as connection:
            found = connection.execute(FACTS).fetchone()
    except psycopg.OperationalError:
        return
    if found and (wrong := faults(found)):
        raise UnsafeDatabase(
            f"DATABASE_URL: {'; '.join(wrong)}. ALLOW_UNSAFE_DATABASE=1 starts nevertheless,"
            " for development."
        )


def faults(found: Mapping[str, Any]) -> list[str]:
    """What is wrong, from a row of FACTS."""
    return [words for name, words in FAULTS.items() if not found[name]]
