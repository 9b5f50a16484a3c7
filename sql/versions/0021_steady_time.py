"""By what time a daemon in office keeps the books, where somebody set the PBX's clock."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("leaders", sa.Column("stepped", sa.Float()))


def downgrade() -> None:
    with op.batch_alter_table("leaders") as leaders:
        leaders.drop_column("stepped")
