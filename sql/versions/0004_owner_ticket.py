"""Which ticket made the owner of a decision the owner."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("decisions", sa.Column("owner_ticket", sa.String()))


def downgrade() -> None:
    op.drop_column("decisions", "owner_ticket")
