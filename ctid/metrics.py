"""Every metric ctid has, and the page Prometheus reads them from.

Law: declared here and nowhere else, and never a label per call, agent or number: each label has a short list
of values, known beforehand, so that the page cannot grow with the traffic.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Thread
from typing import Protocol
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

from ctid.domain.types import AgentState, CallbackState, Direction, Outcome, RecordingState, Rule, Shed

disable_created_metrics()  # type: ignore[no-untyped-call]  # ships none

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

#: The AMI events that manager.conf.sample lets through; whatever else a PBX sends counts as "other".
AMI_EVENTS = frozenset(
    [
        "BridgeEnter",
        "BridgeLeave",
        "DeviceStateChange",
        "DialBegin",
        "DialEnd",
        "DialState",
        "FullyBooted",
        "Hangup",
        "Hold",
        "Newchannel",
        "Newstate",
        "OriginateResponse",
        "Unhold",
        "UserEvent",
    ]
)

# Decisions take microseconds when the database is quick and half a second when it is given up on.
_DECISION_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_POP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

UP = Gauge("ctid_up", "1 while the daemon runs its routing loop.", registry=REGISTRY)
ACTING = Gauge("ctid_acting", "1 while this daemon acts on its PBX, 0 while it stands by.", registry=REGISTRY)
AMI_CONNECTED = Gauge("ctid_ami_connected", "1 while the PBX's state is known over AMI.", registry=REGISTRY)
AMI_LAG = Gauge(
    "ctid_ami_lag_seconds", "How long after the PBX sent it the newest event was handled.", registry=REGISTRY
)
LOOP_LAG = Gauge(
    "ctid_loop_lag_seconds",
    "How long after it happened what is handled now happened: the PBX's events, and ctid's own seconds.",
    registry=REGISTRY,
)
INBOX = Gauge("ctid_inbox_items", "Batches of AMI events and other news that wait to be handled.", registry=REGISTRY)
TASKS = Gauge("ctid_tasks", "Tasks of the daemon: its parts, and the questions under way.", registry=REGISTRY)
SHEDDING = Gauge(
    "ctid_shedding", "1 for what is left undone while ctid does not keep pace.", ["what"], registry=REGISTRY
)
LEASE_MISSED = Counter(
    "ctid_lease_missed",
    "Heartbeats sent later than the lease allows: the dialplan took ctid for dead.",
    registry=REGISTRY,
)
MQTT_CONNECTED = Gauge("ctid_mqtt_connected", "1 while the MQTT broker is connected.", registry=REGISTRY)
MQTT_DROPPED = Counter("ctid_mqtt_dropped", "Messages given up before they were published.", registry=REGISTRY)
CALLS = Counter("ctid_calls", "Calls that ended.", ["direction", "outcome"], registry=REGISTRY)
DECISIONS = Counter("ctid_routing_decisions", "Offers made, by the rule that chose.", ["rule"], registry=REGISTRY)
DECISION_SECONDS = Histogram(
    "ctid_routing_decision_seconds",
    "From the caller's being held, or an agent's becoming free, to the decision.",
    buckets=_DECISION_BUCKETS,
    registry=REGISTRY,
)
POP_SECONDS = Histogram(
    "ctid_pop_seconds",
    "From the phone's ringing, as the PBX told it, to the screen-pop published.",
    buckets=_POP_BUCKETS,
    registry=REGISTRY,
)
CALLS_WAITING = Gauge("ctid_calls_waiting", "Callers who wait for an agent.", registry=REGISTRY)
CALLBACKS = Counter("ctid_callbacks", "Callbacks that came to an end, by which.", ["outcome"], registry=REGISTRY)
CALLBACKS_WAITING = Gauge(
    "ctid_callbacks_waiting", "Callers who are to be called back, but those being called now.", registry=REGISTRY
)
LONGEST_WAIT = Gauge(
    "ctid_longest_wait_seconds",
    "How long the caller who waits longest has waited; 0 without one.",
    registry=REGISTRY,
)
AGENTS = Gauge("ctid_agents", "Agents by state.", ["state"], registry=REGISTRY)
RECORDINGS = Counter("ctid_recordings", "Recordings closed, by what became of them.", ["state"], registry=REGISTRY)
UNLINKED_RECORDINGS = Gauge(
    "ctid_unlinked_recordings", "Recordings of answered calls that hang on no ticket.", registry=REGISTRY
)
RECORDINGS_FREE = Gauge(
    "ctid_recordings_free_bytes", "Room on the recordings' disk, as it was a minute ago at most.", registry=REGISTRY
)
RECORDINGS_FOLDER = Gauge(
    "ctid_recordings_folder_ok",
    "1 while the recordings folder is there and can be written to, 0 while it is away or read-only.",
    registry=REGISTRY,
)
RECORDINGS_FOUND = Counter(
    "ctid_recordings_found",
    "Recordings that were missing, or could not be read, and were found since.",
    registry=REGISTRY,
)
DB_PENDING_WRITES = Gauge("ctid_db_pending_writes", "Writes that wait for the database.", registry=REGISTRY)
JOURNAL_BYTES = Gauge(
    "ctid_journal_bytes", "What waits for the database on disk; 0 while it takes all it is told.", registry=REGISTRY
)
JOURNAL_DROPPED = Counter(
    "ctid_journal_dropped",
    "What waited for the database and had no room on disk, once for each state of a call or agent.",
    registry=REGISTRY,
)
LEDGER_DRIFT = Gauge(
    "ctid_ledger_drift_seconds",
    "The greatest difference of talk: between memory and database now, or last night between the books and CEL or CDR.",
    registry=REGISTRY,
)
ODDITIES = Counter("ctid_oddities", "Things the state tables do not allow; the log has each.", registry=REGISTRY)

_AMI_EVENTS_TOTAL = Counter("ctid_ami_events", "AMI events read, by name.", ["event"], registry=REGISTRY)

for _of_folder in (RECORDINGS_FREE, RECORDINGS_FOLDER):
    _of_folder.set(float("nan"))  # neither full nor away, only not looked at yet

# Series exist from the start, so that the first of a kind shows as a step from 0.
for _direction in Direction:
    for _outcome in Outcome:
        CALLS.labels(direction=_direction.value, outcome=_outcome.value)
for _shed in Shed:
    SHEDDING.labels(what=_shed.value)
for _rule in Rule:
    DECISIONS.labels(rule=_rule.value)
for _state in AgentState:
    AGENTS.labels(state=_state.value)
for _final in (state for state in CallbackState if state.final):
    CALLBACKS.labels(outcome=_final.value)
for _closed in RecordingState:
    RECORDINGS.labels(state=_closed.value)
_BY_EVENT = {name: _AMI_EVENTS_TOTAL.labels(event=name) for name in (*sorted(AMI_EVENTS), "other")}
_OTHER = _BY_EVENT["other"]


def count_ami_event(name: str) -> None:
    """Count one AMI event; a name ctid does not know counts as "other"."""
    _BY_EVENT.get(name, _OTHER).inc()


class AddressTakenError(Exception):
    """The metrics' address cannot be listened on; the message is one line that says what to do."""


class Listen(Protocol):
    """An address of the configuration, which this file does not import: both lie on one level."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsPage:
    """A page that is being served; ``port`` is the real one where 0 was asked for."""

    port: int
    server: WSGIServer
    thread: Thread

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def serve(listen: Listen) -> MetricsPage:
    """Serve ``/metrics`` from a thread of its own until closed. Raises ``AddressTakenError``."""
    try:
        server, thread = start_http_server(listen.port, addr=listen.host, registry=REGISTRY)
    except OSError as error:
        raise AddressTakenError(
            f"metrics.listen: cannot listen on {listen} ({error.strerror}); free it or set another"
        ) from None
    return MetricsPage(port=server.server_port, server=server, thread=thread)
