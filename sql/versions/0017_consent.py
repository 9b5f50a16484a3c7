"""Whether callers were told, or asked, that they are recorded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("consent", sa.String))


def downgrade() -> None:
    with op.batch_alter_table("calls") as calls:
        calls.drop_column("consent")
