"""Names of channels, in every technology a PBX may have; and who counts as a party."""

import pytest

from ctid.asterisk.channels import Channel, Graph, endpoint_of, number_dialled
from ctid.asterisk.tracker import _result


@pytest.mark.parametrize(
    ("channel", "endpoint"),
    [
        ("PJSIP/agent7-0000002a", "agent7"),
        ("PJSIP/front-desk-0000002a", "front-desk"),
        ("PJSIP/front_desk.2-0000002a", "front_desk.2"),
        ("SIP/1001-00000001", "1001"),
        ("SIP/10.0.0.1-00000001", "10.0.0.1"),
        ("IAX2/branch-42", "branch"),
        ("IAX2/branch-office-1234", "branch-office"),
        ("DAHDI/1-1", "1"),
        ("DAHDI/i1/02155667788-3", "i1/02155667788"),
        ("Local/100@agents-00000001;1", "100"),
        ("Local/100@agents-00000001;2", "100"),
        ("Local/agent-7@from-queue/n-00000001;2", "agent-7"),
        ("PJSIP/agent7", "agent7"),
        ("nonsense", "nonsense"),
        ("", ""),
    ],
)
def test_a_channels_endpoint(channel: str, endpoint: str) -> None:
    assert endpoint_of(channel) == endpoint


@pytest.mark.parametrize(
    ("channel", "dial_string", "number"),
    [
        ("PJSIP/agent7-00000001", "agent7", None),
        ("PJSIP/1007-00000001", "1007", None),
        ("PJSIP/1007-00000001", "1007/sip:1007@10.0.0.7:5060", None),
        ("PJSIP/agent7-00000001", "agent7/sip:x8f2@10.0.0.7:5060;transport=ws", None),
        ("PJSIP/trunk-00000001", "02155667788@trunk", "02155667788"),
        ("PJSIP/trunk-00000001", "trunk/sip:+862155667788@provider.example", "+862155667788"),
        ("SIP/1007-00000001", "1007", None),
        ("SIP/trunk-00000001", "trunk/02155667788", "02155667788"),
        ("SIP/trunk-00000001", "02155667788@trunk", "02155667788"),
        ("IAX2/branch-42", "branch/02155667788", "02155667788"),
        ("IAX2/branch-42", "me:4711@branch/02155667788", "02155667788"),
        ("IAX2/branch-42", "me:4711@branch", None),
        ("IAX2/branch-42", "4711@branch", None),
        ("PJSIP/agent7-00000001", "", None),
    ],
)
def test_whether_a_phone_was_dialled_or_a_number_through_a_trunk(
    channel: str, dial_string: str, number: str | None
) -> None:
    assert number_dialled(channel, dial_string) == number


def channel(name: str, **more: object) -> Channel:
    return Channel(id=name, name=name, call="1", endpoint=endpoint_of(name), seen_at=0.0, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "cause", "result"),
    [
        ("NOANSWER", 0, "no_answer"),
        ("NOANSWER", 19, "no_answer"),
        ("NOANSWER", 1, "unreachable"),
        ("NOANSWER", 17, "busy"),
        ("NOANSWER", 21, "rejected"),
        ("BUSY", 17, "busy"),
        ("BUSY", 21, "rejected"),
        ("CHANUNAVAIL", 20, "unreachable"),
        ("CHANUNAVAIL", 21, "rejected"),
        ("CONGESTION", 34, "failed"),
        ("CANCEL", 0, "cancelled"),
        (None, 21, "rejected"),
        (None, 17, "busy"),
        (None, 1, "unreachable"),
        (None, 34, "failed"),
        (None, 16, "cancelled"),
        ("MOON", 0, "failed"),
    ],
)
def test_what_became_of_a_phone_that_was_not_answered(status: str | None, cause: int, result: str) -> None:
    assert _result(status, cause) == result


@pytest.mark.parametrize("technology", ["PJSIP", "SIP", "IAX2", "DAHDI", "Skinny"])
def test_a_phone_of_any_technology_is_a_party(technology: str) -> None:
    assert Graph().is_party(channel(f"{technology}/x-1"))


@pytest.mark.parametrize("name", ["CBAnn/x-1;1", "Snoop/x-1", "Announcer/x-1", "Message/ast_msg_queue"])
def test_what_plays_listens_or_holds_a_place_is_no_party(name: str) -> None:
    assert not Graph().is_party(channel(name))


def pair() -> tuple[Graph, Channel, Channel]:
    graph = Graph()
    one, two = channel("Local/x@agents-1;1"), channel("Local/x@agents-1;2")
    graph.add(one)
    graph.add(two)
    return graph, one, two


def test_a_local_channel_whose_other_half_runs_an_application_is_a_party() -> None:
    graph, one, _ = pair()
    graph.enter(one, "bridge")
    assert graph.is_party(one)


def test_a_local_channel_between_two_bridges_is_a_wire() -> None:
    graph, one, two = pair()
    graph.enter(one, "here")
    graph.enter(two, "there")
    assert not graph.is_party(one)
    assert not graph.is_party(two)


def test_a_wire_stays_one_while_its_halves_leave_one_after_the_other() -> None:
    graph, one, two = pair()
    graph.enter(one, "here")
    graph.enter(two, "there")
    graph.leave(two)
    assert not graph.is_party(one)
    graph.remove(two)
    assert not graph.is_party(one)


def test_a_local_channel_that_was_dialled_is_a_wire_to_its_dialler() -> None:
    graph, one, two = pair()
    graph.lead(one)
    assert not graph.is_party(two)
    assert graph.is_party(one)


def test_those_who_hear_each_other_are_found_through_local_channels() -> None:
    graph, one, two = pair()
    caller, agent = channel("PJSIP/trunk-1"), channel("PJSIP/agent1-2")
    for member in (caller, agent):
        graph.add(member)
    graph.enter(caller, "here")
    graph.enter(one, "here")
    graph.enter(two, "there")
    graph.enter(agent, "there")
    assert {c.id for c in graph.component(caller)} == {caller.id, agent.id, one.id, two.id}
    graph.leave(two)
    assert {c.id for c in graph.component(caller)} == {caller.id, one.id, two.id}
