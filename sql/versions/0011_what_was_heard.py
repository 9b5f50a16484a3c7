"""What an entry of the audit is about, beside its subject: of a listen the call and the tickets it hung on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("audit", sa.Column("context", sa.JSON()))


def downgrade() -> None:
    with op.batch_alter_table("audit") as audit:
        audit.drop_column("context")
