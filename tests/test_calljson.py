"""A call's JSON is what the contract promises."""

import json
from dataclasses import replace

from ctid.calljson import call_json
from tests.db.test_calls import BARE, WHOLE

NAN = float("nan")


def test_a_call_has_the_contracts_keys_and_forms():
    told = call_json(WHOLE)
    assert list(told) == [
        *(
            "id",
            "pbx",
            "direction",
            "caller",
            "dialled",
            "line",
            "contact_id",
            "customer_id",
            "started_at",
            "answered_at",
        ),
        *(
            "ended_at",
            "outcome",
            "via",
            "merged_into",
            "ticket_ids",
            "agent",
            "owner",
            "legs",
            "recordings",
            "decisions",
            "diversions",
        ),
        "consent",
        "callback",
    ]
    assert told["started_at"] == "2026-03-02T12:00:00.123Z"
    assert told["legs"][1] == {
        "agent": "a",
        "party": "phone-a",
        "offered_at": "2026-03-02T12:00:04.000Z",
        "answered_at": "2026-03-02T12:00:05.000Z",
        "ended_at": "2026-03-02T12:01:05.000Z",
        "talk_seconds": 59.0,
        "result": "answered",
        "certainty": "estimated",
    }
    assert told["decisions"][1] == {
        "at": "2026-03-02T12:00:04.000Z",
        "rule": "least_talk",
        "chosen": "a",
        "owner": "b",
        "owner_ticket": "T0",
        "owner_skipped": "tried",
        "considered": [
            {"agent": "a", "talk_seconds": 12.25, "idle_since": "2026-03-02T11:59:50.500Z", "talk_share": None}
        ],
        "skipped": {"offline": 3, "tried": 1},
    }
    assert told["diversions"] == [
        {"at": "2026-03-02T12:00:03.500Z", "line": "sales", "reason": "overflow", "to": "line-support", "by": None},
        {"at": "2026-03-02T12:00:03.750Z", "line": "support", "reason": None, "to": "front", "by": "Bo Ss"},
    ]


def test_a_recordings_path_is_told_only_when_asked_for():
    assert "path" not in call_json(WHOLE)["recordings"][0]
    assert call_json(WHOLE, paths=True)["recordings"][0]["path"] == "2026/03/02/r1.wav"


def test_what_is_missing_is_null_and_what_was_not_told_too():
    told = call_json(replace(BARE, started_at=NAN, legs=(replace(WHOLE.legs[0], offered_at=NAN),)))
    assert (told["caller"], told["started_at"], told["outcome"], told["legs"][0]["offered_at"]) == (
        None,
        None,
        None,
        None,
    )
    json.dumps(told, allow_nan=False)
