"""The job queue's own tables, as procrastinate 3.10 ships them.

A later version of procrastinate comes with its own changes; tests/test_migrations.py says when
the installed one wants a schema that no revision here has brought.
"""

from alembic import op
from procrastinate import SyncPsycopgConnector
from procrastinate.schema import SchemaManager

revision = "0001"
down_revision = None


def upgrade() -> None:
    schema = SchemaManager(connector=SyncPsycopgConnector()).get_schema()
    # Around SQLAlchemy: the schema holds percent signs and colons that are nobody's parameters.
    if op.get_context().as_sql:
        op.get_context().impl.static_output(schema)
    else:
        op.get_bind().connection.driver_connection.execute(schema)


def downgrade() -> None:
    raise RuntimeError("The first revision is not undone; drop the database instead.")
