"""Phones that lie, agents' and outside ones: nothing is dialled that the dialplan did not mean to, and callers stay callers."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from lab.asterisk import Asterisk
from lab.process import until
from lab.sipp import SippAgent, place_call
from tests.lab.conftest import ctid_seems_alive

#: What Asterisk says of such phones, and rightly.
RIGHTLY = (
    "attempted blind transfer to",
    "has invalid UTF-8 characters which were replaced",
    "Invalid DTMF event signal",
)

CALLER, LINE = "13800138000", "4001"
#: What stands in a SIP address so that Asterisk, or its dialplan, would read a dial string, a context or a program of it.
WORDS = (
    *(
        "PJSIP/0900123456@trunk",
        "Local/agent2@agents",
        "Local/to_20_agent2@ctid-transfer",
        "8802",
        "agent2",
        "to_20_agent2",
    ),
    *(
        "*11",
        "s",
        "h",
        "i",
        "t",
        "D",
        "1",
        "0900&PJSIP/agent2",
        "0900,20,g",
        "0900^x|y",
        "${SHELL(id)}",
        "$[1+1]",
        "a\r\nb",
        "\0",
    ),
    *("9" * 300, "\ufffd王芳\u202e", "(", "{", "Dial(PJSIP/agent2)", "*8", "700", "+", "[ctid-agent]"),
)
#: Those a phone that answers 302 may lead a call to, so that the site pays or a colleague is rung.
LEADING = WORDS[:5]


@pytest.fixture
async def pbx(tmp_path: Path) -> AsyncIterator[Asterisk]:
    async with Asterisk(tmp_path / "pbx") as running:
        yield running
        assert not [line for line in running.complaints() if not any(words in line for words in RIGHTLY)]


def address(word: str) -> str:
    return f"sip:{quote(word, safe='')}@127.0.0.1"


def dialled(trunk: SippAgent) -> list[str]:
    """The numbers the trunk was called for."""
    return [invite.start.removeprefix("INVITE sip:").partition("@")[0] for invite in trunk.invites]


@pytest.mark.parametrize("word", LEADING)
async def test_who_is_called_outside_cannot_lead_the_call_anywhere(pbx: Asterisk, word: str) -> None:
    trunk = SippAgent(pbx.folder / "sipp", "trunk", pbx.trunk_port, "forward", forward_to=address(word))
    async with trunk, SippAgent(pbx.folder / "sipp", "agent2", pbx.phones["agent2"]) as colleague:
        async with place_call(pbx, "agent1", "9021556677") as call:
            answer = await call.answered()
            await call.ended()
        await pbx.ami.event("CtidEnd")
        assert answer.start.startswith("SIP/2.0 486")
        assert dialled(trunk) == ["021556677"]
        assert not colleague.invites


async def test_an_overflow_number_cannot_lead_its_caller_anywhere(pbx: Asterisk) -> None:
    trunk = SippAgent(pbx.folder / "sipp", "trunk", pbx.trunk_port, "forward", forward_to=address(WORDS[0]))
    async with ctid_seems_alive(pbx), trunk, place_call(pbx, CALLER, LINE) as call:
        wait = await pbx.ami.event("CtidWait")
        pbx.ami.route(wait["Channel"], "lab:1:overflow:number-021556677:20")
        back = await pbx.ami.event("CtidWait", Seq="2")
        assert back["Why"] == "BUSY"
        assert dialled(trunk) == ["021556677"]
        await call.hang_up()


async def test_whatever_an_agents_phone_asks_to_transfer_to_only_numbers_leave_the_site(pbx: Asterisk) -> None:
    async with (
        ctid_seems_alive(pbx),
        SippAgent(pbx.folder / "sipp", "trunk", pbx.trunk_port) as trunk,
        SippAgent(pbx.folder / "sipp", "agent1", pbx.phones["agent1"]) as phone,
        place_call(pbx, CALLER, LINE) as call,
    ):
        wait = await pbx.ami.event("CtidWait")
        pbx.ami.route(wait["Channel"], "lab:1:dial:agent1:20")
        await phone.rings(CALLER)
        await pbx.ami.event("BridgeEnter", CallerIDNum=CALLER)
        for word in (
            "s",
            "h",
            "D",
            "to_20_agent2",
            "PJSIP/0900@trunk",
            "Local/s@ctid-failsafe",
            "$[1+1]",
            "[ctid-agent]",
        ):
            await phone.transfer(phone.invites[-1], address(word))
        assert not pbx.ami.events("BridgeLeave", CallerIDNum=CALLER), "they talk on"
        assert not trunk.invites
        await phone.transfer(phone.invites[-1], address("90215566&PJSIP/agent2${SHELL(id)}"))
        await until(lambda: trunk.invites, "the digits are dialled")
        assert dialled(trunk) == ["02155662"]
        await call.hang_up()


async def test_no_number_that_is_dialled_leads_past_the_line_it_asks_for(pbx: Asterisk) -> None:
    """Each is answered and waits for its line, or is refused; nobody's phone rings, and no file or variable is made of it."""
    async with (
        ctid_seems_alive(pbx),
        SippAgent(pbx.folder / "sipp", "trunk", pbx.trunk_port) as trunk,
        SippAgent(pbx.folder / "sipp", "agent2", pbx.phones["agent2"]) as colleague,
    ):
        asked = [w for w in WORDS if w not in ("8802", "700")]
        for number in range(0, len(asked), 6):
            calls = [place_call(pbx, CALLER, quote(word, safe="")) for word in asked[number : number + 6]]
            for call in calls:
                answer = await call.answered()
                if answer.start.startswith("SIP/2.0 2"):
                    await call.hang_up()
                await call.kill()
        starts = pbx.ami.events("CtidStart")
        assert starts
        for start in starts:
            assert set(start["Did"]) <= set("+*#._-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"), (
                start
            )
        assert not pbx.ami.events("CtidAgent")
        assert not trunk.invites
        assert not colleague.invites


async def test_names_and_numbers_of_any_signs_are_only_names_and_numbers(pbx: Asterisk) -> None:
    names = (
        '\\"; DROP',
        "王芳 " * 30,
        "\u202eevil",
        "x" * 2000,
        "${SHELL(id)}",
        "a,b|c&d",
        "Chen\\r\\nEvent: Hangup",
        "%00%0d%0a",
    )
    async with ctid_seems_alive(pbx):
        for name in names:
            async with place_call(pbx, quote(name[:12], safe=""), LINE, name=name) as call:
                start = await until(
                    lambda: next((e for e in pbx.ami.events("CtidStart") if e["Did"] == LINE), None),
                    "the call comes in",
                )
                assert start["Call"].replace(".", "").isdigit()
                await call.hang_up()
        await asyncio.sleep(0)
    assert len(pbx.ami.events("CtidStart")) == len(names)


FORGED = "%0d%0aForged: yes%0d%0a%0d%0aEvent: Hangup%0d%0a"
HEADERS = (
    f'P-Asserted-Identity: "{FORGED}" <sip:1{FORGED}@127.0.0.1>',
    f"Remote-Party-ID: <sip:agent2{FORGED}@127.0.0.1>;party=calling;id-type=subscriber",
    "Session-Expires: 99999999999999999999;refresher=uac",
    f"Diversion: <sip:{FORGED}@127.0.0.1>;reason=unconditional",
    "Replaces: x;to-tag=y;from-tag=z",
    "Contact: <sip:PJSIP%2f0900%40trunk@127.0.0.1:9>",
    'Reason: Q.850;cause=99999;text="\\""',
    f"X-Asterisk: {'x' * 4000}",
    "Refer-To: <sip:PJSIP%2f0900%40trunk@127.0.0.1?Replaces=x%3Bto-tag%3Dy%3Bfrom-tag%3Dz>",
    "Subject: \x01\x02\xff",
)
BODIES = (
    ("application/dtmf-relay", "Signal=D\r\nDuration=100\r\n"),
    ("application/dtmf-relay", f"Signal={'9' * 500}\r\nDuration=-1\r\n"),
    ("application/dtmf", "D"),
    ("text/plain", "\r\nForged: yes\r\n\r\nEvent: Hangup\r\n"),
    (
        "application/sdp",
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 999.999.999.999\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n",
    ),
    ("message/sipfrag", "SIP/2.0 200 OK\r\n"),
)


async def test_whatever_a_caller_sends_in_mid_call_the_conversation_goes_on_and_nothing_is_forged(
    pbx: Asterisk,
) -> None:
    async with (
        ctid_seems_alive(pbx),
        SippAgent(pbx.folder / "sipp", "trunk", pbx.trunk_port) as trunk,
        SippAgent(pbx.folder / "sipp", "agent1", pbx.phones["agent1"]) as phone,
        place_call(pbx, CALLER, LINE) as call,
    ):
        wait = await pbx.ami.event("CtidWait")
        pbx.ami.route(wait["Channel"], "lab:1:dial:agent1:20")
        await phone.rings(CALLER)
        await pbx.ami.event("BridgeEnter", CallerIDNum=CALLER)
        reply = await call.answered()
        asked = 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            for method in (
                "UPDATE",
                "INFO",
                "NOTIFY",
                "MESSAGE",
                "REFER",
                "SUBSCRIBE",
                "PUBLISH",
                "OPTIONS",
                "PRACK",
                "FOO",
            ):
                for header in HEADERS:
                    kind, body = BODIES[asked % len(BODIES)]
                    asked += 1
                    lines = (
                        f"{method} sip:{LINE}@127.0.0.1:{pbx.sip_port} SIP/2.0",
                        f"Via: SIP/2.0/UDP 127.0.0.1:{way.getsockname()[1]};branch=z9hG4bK-hostile-{asked}",
                        f"From: {reply.headers['from']}",
                        f"To: {reply.headers['to']}",
                        f"Call-ID: {reply.call_id}",
                        f"CSeq: {1000 + asked} {method}",
                        "Max-Forwards: 70",
                        "Event: refer",
                        header,
                        f"Content-Type: {kind}",
                        f"Content-Length: {len(body)}",
                        "",
                        body,
                    )
                    way.sendto("\r\n".join(lines).encode("latin-1"), ("127.0.0.1", pbx.sip_port))
                    await asyncio.sleep(0)
        pong = await pbx.ami.action("Ping")
        assert pong["Response"] == "Success"
        await asyncio.sleep(0.5)  # what a transfer would need
        assert not [event for event in pbx.ami.messages if "Forged" in event]
        assert not pbx.ami.events("Hangup")
        assert not trunk.invites
        assert not pbx.ami.events("BridgeLeave", CallerIDNum=CALLER), "they talk on"
        await call.kill()


async def test_keys_at_a_feature_code_are_only_an_id_and_a_pin(pbx: Asterisk) -> None:
    async with ctid_seems_alive(pbx):
        async with place_call(pbx, "agent1", "*11", digits=[(1.0, "12AB*34#"), (1.0, "*" + "8" * 20)]) as call:
            said = await pbx.ami.event("CtidAgent", limit=20)
            await call.kill()
        assert set(said["Agent"]) <= set("0123456789ABCD")
        assert set(said["Pin"]) <= set("0123456789")
        assert len(said["Pin"]) <= 16
