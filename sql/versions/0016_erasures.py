"""People who were, or are to be, erased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("contact_id", sa.String(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_by", sa.String()),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True)),
        sa.Column("report", sa.JSON()),
        sa.CheckConstraint("stage IN ('asked', 'erased', 'done')", name="ck_erasures_stage"),
    )
    op.create_index("ix_erasures_contact_id", "erasures", ["contact_id"])
    op.create_index("ix_erasures_stage", "erasures", ["stage"])


def downgrade() -> None:
    op.drop_table("erasures")
