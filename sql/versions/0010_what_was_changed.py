"""What an entry of the audit changed, and indices to find entries by who and what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("audit", sa.Column("changes", sa.JSON()))
    op.create_index("ix_audit_user_name_at", "audit", ["user_name", "at"])
    op.create_index("ix_audit_action_at", "audit", ["action", "at"])


def downgrade() -> None:
    op.drop_index("ix_audit_action_at", "audit")
    op.drop_index("ix_audit_user_name_at", "audit")
    with op.batch_alter_table("audit") as audit:
        audit.drop_column("changes")
