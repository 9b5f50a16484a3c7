"""The owner of a caller's newest ticket, kept with the call; the digits by which an agent signs in at a phone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("calls") as calls:
        calls.add_column(sa.Column("owner", sa.String()))
    with op.batch_alter_table("agents") as agents:
        agents.add_column(sa.Column("code", sa.String()))
        agents.create_unique_constraint("uq_agents_code", ["code"])


def downgrade() -> None:
    with op.batch_alter_table("agents") as agents:
        agents.drop_constraint("uq_agents_code", type_="unique")
        agents.drop_column("code")
    with op.batch_alter_table("calls") as calls:
        calls.drop_column("owner")
