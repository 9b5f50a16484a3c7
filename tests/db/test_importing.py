"""A site's lists come in as they are, each bad line named, and again without a change."""

import random
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from ctid.db import session
from ctid.db.agents import Agents
from ctid.db.audits import Actor
from ctid.db.callers import Callers
from ctid.db.calls import Calls
from ctid.db.csvfile import CsvFault, read_lines
from ctid.db.holds import Holds
from ctid.db.importing import BadLine, Imported, Kind, Site, import_csv
from ctid.db.tables import agents, contact_numbers, contacts, customers, tickets
from tests.db.site import NOON, add_agents, add_contact, add_customer, add_ticket
from tests.db.test_retention import call

SITE = Site(country="CN", timezone=ZoneInfo("Asia/Shanghai"), outside_prefix="9")
TABLES = {Kind.CUSTOMERS: customers, Kind.CONTACTS: contacts, Kind.AGENTS: agents, Kind.TICKETS: tickets}


@pytest.fixture
def bring(engine, tmp_path):
    """Imports a list given as text or bytes."""

    async def bring(kind: str, content: str | bytes, **options: object) -> Imported:
        file = tmp_path / f"{kind}.csv"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return await import_csv(engine, Kind(kind), file, SITE, **options)

    return bring


async def rows(engine, kind: str) -> list[dict[str, object]]:
    table = TABLES[Kind(kind)]
    async with session.reading(engine) as connection:
        return [dict(row._mapping) for row in await connection.execute(select(table).order_by(table.c.id))]


def reasons(imported: Imported) -> list[tuple[int, str]]:
    return [(bad.line, bad.reason) for bad in imported.bad]


async def test_customers_come_in_with_columns_in_any_order(engine, bring):
    assert await bring("customers", "Notes,LEVEL,name,id\nkind,5,Acme,c1\n,,Beta,c2\n") == Imported(
        added=2, updated=0, bad=(), warnings=()
    )
    assert [(row["id"], row["name"], row["level"], row["notes"]) for row in await rows(engine, "customers")] == [
        ("c1", "Acme", 5, "kind"),
        ("c2", "Beta", 1, None),
    ]


async def test_contacts_come_in_with_their_numbers_and_are_found_by_them(engine, bring):
    await add_customer(engine, "c1")
    await bring(
        "contacts",
        "id,customer_id,name,department,title,level,numbers,notes\n"
        'p1,c1,王小明,销售部,经理,4,"138 0013 8000; 8001\uff1b013800138000",x\np2,,Ann,,,,,\n',
    )
    file = await Callers(engine, country="CN").identify("+8613800138000")
    assert file.contact is not None
    assert (file.contact.name, file.contact.department, file.contact.title, file.level) == (
        "王小明",
        "销售部",
        "经理",
        4,
    )
    async with session.reading(engine) as connection:
        numbers = (await connection.execute(select(contact_numbers).order_by(contact_numbers.c.position))).all()
    assert [tuple(row) for row in numbers] == [("p1", "+8613800138000", "138 0013 8000", 0), ("p1", "8001", "8001", 1)]


async def test_agents_come_in_with_pin_lines_and_phone_without_technology(engine, bring):
    await bring(
        "agents", "id,name,phone,level,pin,lines,email\na,Ann,PJSIP/phone-a,2,1234,support;sales,a@x.cn\nb,Bo,,,,,\n"
    )
    store = Agents(engine)
    ann, bo = await store.roster()
    assert (ann.phone, ann.level, ann.lines) == ("phone-a", 2, ("sales", "support"))
    assert (bo.phone, bo.level, bo.lines) == (None, 1, ())
    assert await store.check_pin("a", "1234")
    assert str((await rows(engine, "agents"))[0]["pin_hash"]).startswith("$argon2id$")


async def test_no_list_of_tickets_takes_calls_out_of_a_legal_hold(engine, bring):
    await add_customer(engine, "c1")
    await add_customer(engine, "c2")
    await add_contact(engine, "p1", customer="c1")
    for key in ("1", "2"):
        await add_ticket(engine, key, customer_id="c1", contact_id="p1")
    await Calls(engine).save([call("a", 40, ticket_ids=("1",))])
    await Holds(engine).place("c1", "court", Actor(at=NOON))
    head = "id,customer_id,contact_id,subject,created_at\n"
    imported = await bring(
        "tickets", head + "1,c2,,Printer,2026-03-02 08:30\n2,c2,,Mail,2026-03-02 08:30\n1,c1,p1,Net,2026-03-02 08:30\n"
    )
    assert [line.reason for line in imported.bad] == [
        "customer_id: calls of this ticket are under legal hold by c1; lift it first, or leave it so"
    ]
    assert [(row["subject"], row["customer_id"]) for row in await rows(engine, "tickets")] == [
        ("Net", "c1"),
        ("Mail", "c2"),
    ]


async def test_tickets_come_in_with_the_sites_local_times(engine, bring):
    await add_customer(engine, "c1")
    await add_contact(engine, "p1", customer="c1")
    await add_agents(engine, "a")
    imported = await bring(
        "tickets",
        "id,customer_id,contact_id,owner,subject,category,severity,status,created_at,resolved_at\n"
        "1,,p1,a,Printer,hardware,4,Closed,2026-03-02 08:30,2026/3/2 9:15:30\n"
        "2,c1,,,Mail,,,,2026-03-02T08:30:00Z,\n3,,,,Net,,,,2026-03-02T08:30:00.5+02:00,\n4,,,,Day,,,,2026-03-02,\n",
    )
    assert imported.bad == ()
    first, second, third, fourth = await rows(engine, "tickets")
    assert first["created_at"] == datetime(2026, 3, 2, 0, 30, tzinfo=UTC)
    assert first["resolved_at"] == datetime(2026, 3, 2, 1, 15, 30, tzinfo=UTC)
    assert (first["customer_id"], first["status"], first["severity"], first["owner"]) == ("c1", "closed", 4, "a")
    assert (second["status"], second["severity"]) == ("open", 3)
    assert second["created_at"] == datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
    assert third["created_at"] == datetime(2026, 3, 2, 6, 30, 0, 500_000, tzinfo=UTC)
    assert fourth["created_at"] == datetime(2026, 3, 1, 16, tzinfo=UTC)


LISTS = {
    "customers": "id,name,level\nc1,Acme,3\nc2,Beta,2\n",
    "contacts": "id,customer_id,name,numbers\np1,c1,Ann,8001;8002\n",
    "agents": "id,name,phone,pin,lines\na,Ann,phone-a,1234,support\n",
    "tickets": "id,contact_id,owner,subject,created_at\n1,p1,a,Printer,2026-03-02 08:30\n",
}


async def test_importing_again_changes_nothing(engine, bring):
    for kind, content in LISTS.items():
        await bring(kind, content)
    before = [await rows(engine, kind) for kind in LISTS]
    for kind, content in LISTS.items():
        imported = await bring(kind, content)
        assert (imported.added, imported.bad) == (0, ())
    assert [await rows(engine, kind) for kind in LISTS] == before


async def test_a_column_that_is_absent_and_a_pin_left_empty_leave_what_is_stored(engine, bring):
    for kind, content in LISTS.items():
        await bring(kind, content)
    await bring("customers", "id,name\nc1,Acme Ltd\n")
    await bring("agents", "id,name,pin\na,Anna,\n")
    await bring("contacts", "id,name\np1,Anna\n")
    assert (await rows(engine, "customers"))[0]["level"] == 3
    assert await Agents(engine).check_pin("a", "1234")
    assert (await Agents(engine).roster())[0].lines == ("support",)
    assert (await Callers(engine, country="CN").identify("8001")).contact is not None


async def test_a_contacts_numbers_are_those_of_the_newest_list(engine, bring):
    await bring("customers", LISTS["customers"])
    await bring("contacts", LISTS["contacts"])
    await bring("contacts", LISTS["contacts"].replace("8002", "8003"))
    callers = Callers(engine, country="CN")
    assert [(await callers.identify(n)).contact is not None for n in ("8001", "8002", "8003")] == [True, False, True]


async def test_unknown_columns_are_left_out_with_a_warning(bring):
    imported = await bring("customers", "id,name,colour\nc1,Acme,red\n")
    assert (imported.added, imported.warnings) == (1, ("the column 'colour' is not known and was left out",))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_way_sites_write_csv_is_read(tmp_path, encoding, delimiter, newline):
    file = tmp_path / "customers.csv"
    lines = [["id", "name", "notes"], ["c1", "北京公司", "重要"], ["c2", "上海", ""]]
    file.write_bytes((newline.join(delimiter.join(line) for line in lines) + newline).encode(encoding))
    content = read_lines(file, known=("id", "name", "notes"), required=("id", "name"))
    assert [list(line.cells.values()) for line in content.lines] == lines[1:]


async def test_a_list_from_a_chinese_excel_comes_in(engine, bring):
    assert (await bring("customers", "id,name\r\nc1,北京公司\r\n".encode("gb18030"))).added == 1
    assert (await rows(engine, "customers"))[0]["name"] == "北京公司"


async def test_a_cell_may_hold_quotes_and_line_breaks_and_lines_are_counted_as_an_editor_does(engine, bring):
    content = 'id,name,notes\nc1,"Acme, ""Ltd""","one\ntwo"\n\nc2,,\n'
    assert reasons(await bring("customers", content)) == [(5, "name: is empty")]
    assert (await rows(engine, "customers"))[0]["notes"] == "one\ntwo"


@pytest.mark.parametrize(
    ("kind", "line", "reason"),
    [
        ("customers", "id=;name=Acme", "id: is empty"),
        ("customers", "id=c9;name=", "name: is empty"),
        ("customers", "id=c9;name=Acme;level=6", "level: '6' is not a number from 1 to 5"),
        ("customers", "id=c9;name=Acme;level=high", "level: 'high' is not a number from 1 to 5"),
        ("customers", "id=c9;name=Acme;level=²", "level: '²' is not a number from 1 to 5"),
        ("customers", "id=c9;name=A\x1b[31m", "name: holds a control character: 'A\\x1b[31m'"),
        ("customers", f"id=c9;name={'x' * 201}", "name: is longer than 200 characters"),
        (
            "contacts",
            "id=p9;name=Ann;customer_id=nobody",
            "customer_id: there is no customer 'nobody'; import it first",
        ),
        ("contacts", "id=p9;name=Ann;numbers=call me", "numbers: 'call me' is not a telephone number"),
        ("agents", "id=a/b;name=Ann", "id: 'a/b' may hold letters, digits and . _ - @ only, the first no sign"),
        ("agents", "id=#;name=Ann", "id: '#' may hold letters, digits and . _ - @ only, the first no sign"),
        ("agents", "id=a;name=Ann;level=4", "level: '4' is not a number from 1 to 3"),
        ("agents", "id=a;name=Ann;pin=12", "pin: is not 4 to 16 digits"),
        ("agents", "id=a;name=Ann;code=7x", "code: '7x' cannot be keyed in at a phone; give 1 to 16 digits"),
        (
            "agents",
            "id=a;name=Ann;phone=x&SIP/y",
            "phone: 'x&SIP/y' is no endpoint's name that ctid can dial (letters, digits, _ and - only)",
        ),
        ("agents", "id=a;name=Ann;email=nowhere", "email: 'nowhere' is not an e-mail address"),
        (
            "tickets",
            "id=1;subject=x;created_at=",
            "created_at: is empty; the owner of a caller's newest ticket is found by it",
        ),
        (
            "tickets",
            "id=1;subject=x;created_at=yesterday",
            "created_at: 'yesterday' is not a time like 2026-11-22 09:30 or 2026-11-22T09:30:00Z",
        ),
        (
            "tickets",
            "id=1;subject=x;created_at=2026-02-30",
            "created_at: '2026-02-30' is not a time like 2026-11-22 09:30 or 2026-11-22T09:30:00Z",
        ),
        (
            "tickets",
            "id=1;subject=x;created_at=2026-03-02;resolved_at=2026-03-01",
            "resolved_at: is before created_at",
        ),
        (
            "tickets",
            "id=1;subject=x;created_at=2026-03-02;owner=nobody",
            "owner: there is no agent 'nobody'; import it first",
        ),
        (
            "tickets",
            "id=1;subject=x;created_at=2026-03-02;contact_id=p0",
            "contact_id: there is no contact 'p0'; import it first",
        ),
        (
            "tickets",
            "id=1;subject=x;created_at=2026-03-02;status=lost",
            "status: 'lost' is none of open, pending, resolved, closed",
        ),
        (
            "tickets",
            "id=1;subject=x;created_at=2026-03-02;severity=0",
            "severity: '0' is not a number from 1 to 5",
        ),
    ],
)
async def test_a_bad_line_is_named_with_its_reason_and_the_others_come_in(engine, bring, kind, line, reason):
    names, cells = zip(*(cell.split("=", 1) for cell in line.split(";")), strict=True)
    good = {"id": "ok", "name": "Good", "subject": "Good", "created_at": "2026-03-02"}
    content = "\n".join(",".join(each) for each in (names, cells, [good.get(name, "") for name in names]))
    imported = await bring(kind, content)
    assert imported.bad == (BadLine(line=2, reason=reason),)
    assert [row["id"] for row in await rows(engine, kind)] == ["ok"]


async def test_broken_lines_are_named_and_the_others_come_in(engine, bring):
    content = 'id,name\nc1,Acme,extra\nc2,"Beta"x\nc3,Good\nc3,Again\nc4,"never closed\nc5,Swallowed\n'
    imported = await bring("customers", content)
    assert [line for line, _ in reasons(imported)] == [2, 3, 5, 6]
    assert reasons(imported)[0][1] == "3 cells where the header has 2; quote a cell with ','"
    assert reasons(imported)[2][1] == "id: 'c3' was already on line 4"
    assert reasons(imported)[3][1] == "a quote is opened and never closed"
    assert [row["name"] for row in await rows(engine, "customers")] == ["Good"]


async def test_strict_imports_nothing_when_one_line_is_bad_and_all_when_none_is(engine, bring):
    imported = await bring("customers", "id,name\nc1,Acme\n,Beta\n", strict=True)
    assert (imported.added, imported.updated, len(imported.bad)) == (0, 0, 1)
    assert await rows(engine, "customers") == []
    assert (await bring("customers", "id,name\nc1,Acme\nc2,Beta\n", strict=True)).added == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \r\n\r\n", "is empty"),
        (b"id,name\nc1,A\0b\n", "holds a NUL byte on line 2"),
        (b"PK\x03\x04rest of a workbook", "is an Excel or ZIP file, not CSV"),
        ("id,name\nc1,Ä".encode("utf-16"), "is in UTF-16, not CSV"),
        (b"\x89PNG\r\n\x1a\n\xff\xff\xff", "is neither UTF-8 nor GB18030"),
        (b"id,name,id\nc1,A,c2\n", "names the column 'id' twice"),
        (b"id,name" + b",x" * 200_000 + b"\n", "the header has 200002 columns; at most 1000 are read"),
        (b"id,name," + b"y" * 100_000 + b"," + b"y" * 100_000 + b"\n", "names the column 'yyyy"),
        (b"name,level\nA,1\n", "the header lacks id; the first line must name the columns: id,name,level,notes"),
        (b"c1,Acme,3\n", "the header lacks id, name"),
        (b"Dear all,\nplease find enclosed.\n", "the header lacks id, name"),
        (b'"id,name\nc1,A\n', "line 1: a quote is opened and never closed"),
    ],
)
async def test_a_file_that_is_no_list_is_refused_in_one_line(engine, bring, content, says):
    with pytest.raises(CsvFault) as fault:
        await bring("customers", content)
    assert says in str(fault.value)
    assert "\n" not in str(fault.value)
    assert len(str(fault.value)) < 500


async def test_a_file_that_is_not_there_or_a_folder_is_one_line(engine, tmp_path):
    for file, says in ((tmp_path / "none.csv", "there is no such file"), (tmp_path, "Is a directory")):
        with pytest.raises(CsvFault, match=says):
            await import_csv(engine, Kind.CUSTOMERS, Path(file), SITE)


async def test_random_bytes_are_a_fault_or_bad_lines_and_never_anything_else(bring):
    dice = random.Random(7)
    faults: list[str] = []
    for _ in range(60):
        noise = bytes(dice.randrange(256) for _ in range(dice.randrange(200)))
        try:
            await bring("contacts", dice.choice([b"", b"id,name,numbers\n"]) + noise)
        except CsvFault as fault:
            faults.append(str(fault))
    assert faults
    assert not [fault for fault in faults if "\n" in fault]


async def test_ten_thousand_lines_come_in_with_progress(engine, bring):
    seen: list[tuple[int, int]] = []
    lines = "".join(f"p{n},Contact {n},1380013{n:04};{10000 + n}\n" for n in range(10_000))
    imported = await bring(
        "contacts", "id,name,numbers\n" + lines, progress=lambda done, all_: seen.append((done, all_))
    )
    assert imported.added == 10_000
    assert seen[0] == (500, 10_000)
    assert seen[-1] == (10_000, 10_000)
    contact = (await Callers(engine, country="CN").identify("13800139999")).contact
    assert contact is not None
    assert contact.id == "p9999"


async def test_two_agents_never_have_one_code(engine, bring):
    done = await bring("agents", "id,name,code\na,Ann,7001\nb,Bo,7001\nc,Cy,\nd,Di,\n")
    assert [str(bad.reason) for bad in done.bad] == [
        "code: 7001 is the code of agent 'a'; give each agent one of their own"
    ]
    assert [(agent.id, agent.code) for agent in await Agents(engine).roster()] == [
        ("a", "7001"),
        ("c", None),
        ("d", None),
    ]
    assert (await bring("agents", "id,name,code\na,Ann,7001\n")).bad == ()
