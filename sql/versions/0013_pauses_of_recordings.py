"""Pauses of recordings: what was not to be recorded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ctid.db.tables import UTCDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "recording_gaps",
        sa.Column("pbx", sa.String, primary_key=True),
        sa.Column("recording_id", sa.String, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("started_at", UTCDateTime, nullable=False),
        sa.Column("until", UTCDateTime, nullable=False),
        sa.Column("ended_at", UTCDateTime),
        sa.Column("agent", sa.String),
        sa.Column("by_name", sa.String),
        sa.Column("ended", sa.String),
        sa.Column("cut", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.ForeignKeyConstraint(
            ["pbx", "recording_id"],
            ["recordings.pbx", "recordings.id"],
            name="fk_recording_gaps_pbx",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("pbx", "recording_id", "position", name="pk_recording_gaps"),
    )


def downgrade() -> None:
    op.drop_table("recording_gaps")
