"""Whether a caller who is to be called back was not to be recorded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("callbacks", sa.Column("consent", sa.String))


def downgrade() -> None:
    with op.batch_alter_table("callbacks") as callbacks:
        callbacks.drop_column("consent")
