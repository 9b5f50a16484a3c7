"""Where agents sit and what they do, and the lines: of each PBX for itself, where several share the books."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ctid.db.tables import Text, UTCDateTime

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pbx = _pbx()
    for name in ("agent_states", "lines"):
        rows = _emptied(name)
        _COLUMNS[name](name, sa.Column("pbx", sa.String, primary_key=True))
        _filled(name, [{"pbx": pbx, **row} for row in rows])
    with op.batch_alter_table("agent_state_changes") as changes:
        changes.add_column(sa.Column("pbx", sa.String, nullable=False, server_default=pbx))
    with op.batch_alter_table("agent_state_changes") as changes:
        changes.alter_column("pbx", server_default=None, existing_type=sa.String, existing_nullable=False)


def downgrade() -> None:
    """Of an agent who sits at several PBXs, and of a line of several, one is left."""
    with op.batch_alter_table("agent_state_changes") as changes:
        changes.drop_column("pbx")
    for name, key in (("agent_states", "agent"), ("lines", "name")):
        rows = {row[key]: {column: row[column] for column in row if column != "pbx"} for row in _emptied(name)}
        _COLUMNS[name](name)
        _filled(name, list(rows.values()))


def _pbx() -> str:
    """The PBX whose books these were: until now they were made for one."""
    newest = "SELECT pbx FROM calls ORDER BY started_at DESC LIMIT 1"
    found: str | None = op.get_bind().execute(sa.text(newest)).scalar()
    return found if found is not None else "pbx"


def _emptied(name: str) -> list[dict[str, object]]:
    """The rows of a table that is made anew, with its columns as they are now."""
    link = op.get_bind()
    table = sa.Table(name, sa.MetaData(), autoload_with=link)
    rows = [dict(row) for row in link.execute(sa.select(table)).mappings()]
    op.drop_table(name)
    return rows


def _filled(name: str, rows: list[dict[str, object]]) -> None:
    if rows:
        op.bulk_insert(sa.Table(name, sa.MetaData(), autoload_with=op.get_bind()), rows)


def _states(name: str, *first: sa.Column[str]) -> None:
    op.create_table(
        name,
        *first,
        sa.Column("agent", sa.String, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("since", UTCDateTime, nullable=False),
        sa.Column("phone", Text),
        sa.Column("reason", Text),
        sa.Column("call_id", sa.String),
        sa.Column("talk_seconds_today", sa.Float, nullable=False),
        sa.Column("signed_in_at", UTCDateTime),
        sa.Column("wrap_up_until", UTCDateTime),
    )


def _lines(name: str, *first: sa.Column[str]) -> None:
    op.create_table(
        name,
        *first,
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("numbers", sa.JSON, nullable=False),
        sa.Column("configured", sa.Boolean, nullable=False, server_default=sa.true()),
    )


_COLUMNS = {"agent_states": _states, "lines": _lines}
