"""Names by which customers and contacts are found, ordered and compared; files that look like one and are two."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ctid.db.tables import KEY, Text, UTCDateTime
from ctid.desk import likeness

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_BATCH = 500


def upgrade() -> None:
    for table in ("customers", "contacts"):
        with op.batch_alter_table(table) as altered:
            altered.add_column(sa.Column("name_key", KEY, nullable=False, server_default=""))
        op.create_index(f"ix_{table}_merged_into", table, ["merged_into"])
    op.create_index("ix_customers_kind_level_name_key", "customers", ["kind", "level", "name_key"])
    op.create_index("ix_customers_name_key", "customers", ["name_key"])
    op.create_index("ix_contacts_name_key_customer_id", "contacts", ["name_key", "customer_id"])
    op.create_table(
        "customer_pairs",
        sa.Column("pair", KEY, primary_key=True),
        sa.Column(
            "customer_id", sa.String(), sa.ForeignKey("customers.id", ondelete="CASCADE"), primary_key=True, index=True
        ),
    )
    op.create_table(
        "files_apart",
        sa.Column("kind", sa.String(), primary_key=True),
        sa.Column("one", sa.String(), primary_key=True),
        sa.Column("other", sa.String(), primary_key=True),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("user_name", Text()),
        sa.CheckConstraint("kind IN ('customer', 'contact')", name="kind"),
    )
    op.execute("INSERT INTO counters (name, value) VALUES ('customer', 0), ('contact', 0)")
    # A person's present post, which so far only the contact's own row tells.
    op.execute(
        "INSERT INTO posts (contact_id, customer_id, department, title) SELECT id, customer_id, department, title"
        " FROM contacts WHERE customer_id IS NOT NULL OR department IS NOT NULL OR title IS NOT NULL"
    )
    _fill("customers")
    _fill("contacts")


def _fill(name: str) -> None:
    table = sa.table(name, sa.column("id"), sa.column("name"), sa.column("name_key"))
    pairs = sa.table("customer_pairs", sa.column("pair"), sa.column("customer_id"))
    key = likeness.firm_key if name == "customers" else likeness.person_key
    connection = op.get_bind()
    rows = [(row.id, key(row.name)) for row in connection.execute(sa.select(table.c.id, table.c.name))]
    change = sa.update(table).where(table.c.id == sa.bindparam("row")).values(name_key=sa.bindparam("key"))
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        connection.execute(change, [{"row": row, "key": key} for row, key in batch])
        new = [{"pair": pair, "customer_id": row} for row, key in batch for pair in likeness.pairs(key)]
        if name == "customers" and new:
            connection.execute(sa.insert(pairs), new)


def downgrade() -> None:
    op.execute("DELETE FROM counters WHERE name IN ('customer', 'contact')")
    op.drop_table("files_apart")
    op.drop_table("customer_pairs")
    op.drop_index("ix_customers_kind_level_name_key", "customers")
    op.drop_index("ix_customers_name_key", "customers")
    op.drop_index("ix_contacts_name_key_customer_id", "contacts")
    for table in ("customers", "contacts"):
        op.drop_index(f"ix_{table}_merged_into", table)
        with op.batch_alter_table(table) as altered:
            altered.drop_column("name_key")
