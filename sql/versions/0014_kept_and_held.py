"""How long a customer's recordings are kept, and customers under legal hold."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_COLUMNS = ("retention_days", "hold_reason", "held_by", "held_since")


def upgrade() -> None:
    op.add_column("customers", sa.Column("retention_days", sa.Integer()))
    op.add_column("customers", sa.Column("hold_reason", sa.String()))
    op.add_column("customers", sa.Column("held_by", sa.String()))
    op.add_column("customers", sa.Column("held_since", sa.DateTime(timezone=True)))


def downgrade() -> None:
    with op.batch_alter_table("customers") as customers:
        for name in _COLUMNS:
            customers.drop_column(name)
