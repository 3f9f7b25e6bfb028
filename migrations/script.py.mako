"""${message}

The code now running must go on working on the schema after this revision: add first, use in the
next release, remove in the one after. Add constraints NOT VALID and validate them in a later
revision; build indexes concurrently (op.get_context().autocommit_block()).
"""

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
