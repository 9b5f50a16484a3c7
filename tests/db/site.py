"""A small site for the tests: rows of the desk, written as the web or an import would."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from ctid.db import session
from ctid.db.numbers import normalise
from ctid.db.tables import agents, contact_numbers, contacts, customers, tickets

PBX = "pbx1"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()


async def add_customer(engine: AsyncEngine, key: str, *, level: int = 1) -> None:
    async with session.writing(engine) as connection:
        await connection.execute(customers.insert().values(id=key, name=f"Customer {key}", level=level))


async def add_contact(
    engine: AsyncEngine, key: str, *numbers: str, customer: str | None = None, level: int | None = None
) -> None:
    async with session.writing(engine) as connection:
        row = {"id": key, "name": f"Contact {key}", "customer_id": customer, "level": level}
        await connection.execute(contacts.insert().values(row))
        for position, given in enumerate(numbers):
            number = normalise(given, "CN")
            row = {"contact_id": key, "number": number, "given": given, "position": position}
            await connection.execute(contact_numbers.insert().values(row))


async def add_agents(engine: AsyncEngine, *keys: str, **columns: object) -> None:
    async with session.writing(engine) as connection:
        for key in keys:
            await connection.execute(agents.insert().values(id=key, name=f"Agent {key}", **columns))


async def add_ticket(engine: AsyncEngine, key: str, *, at: float = NOON, **columns: object) -> None:
    async with session.writing(engine) as connection:
        row = {"id": key, "subject": f"Subject {key}", "created_at": session.instant(at), **columns}
        await connection.execute(tickets.insert().values(row))
