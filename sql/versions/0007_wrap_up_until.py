"""When an agent's wrap-up ends, so that one extended lasts as long past a restart."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ctid.db.tables import UTCDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("agent_states", sa.Column("wrap_up_until", UTCDateTime()))


def downgrade() -> None:
    with op.batch_alter_table("agent_states") as states:
        states.drop_column("wrap_up_until")
