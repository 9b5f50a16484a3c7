"""Calls whose caller was erased say so, that no later save brings them back; those of earlier erasures, too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("erased", sa.Boolean, nullable=False, server_default=sa.false()))
    calls = sa.table("calls", sa.column("pbx"), sa.column("id"), sa.column("erased"))
    erasures = sa.table("erasures", sa.column("report", sa.JSON))
    connection = op.get_bind()
    for report in connection.scalars(sa.select(erasures.c.report)).all():
        for named in (report or {}).get("calls", ()):
            pbx, _, key = named.rpartition("/")
            its = (calls.c.pbx == pbx) & (calls.c.id == key)
            connection.execute(sa.update(calls).where(its).values(erased=sa.true()))


def downgrade() -> None:
    with op.batch_alter_table("calls") as calls:
        calls.drop_column("erased")
