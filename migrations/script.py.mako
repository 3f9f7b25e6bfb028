"""${message}

The code now running must go on working on the schema after this revision: add first, use in the
next release, remove in the one after. Add constraints NOT VALID, validate them in a later revision
`with online.unhurried()`, and build indexes by `online.create_index` (from migrations import online).
"""

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
