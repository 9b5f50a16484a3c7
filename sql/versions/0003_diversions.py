"""Where callers went whom a line kept no longer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("diversions", sa.JSON(), nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("calls", "diversions")
