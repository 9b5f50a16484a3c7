"""A centre that calls back: who asks for it, the phones that ring for it, and the database that keeps it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.types import CallbackRecord, CallerFile, CallRecord, Direction, LegResult, Line, Policy
from tests.domain.desk import SUPPORT, Centre, file, of

LINE = replace(SUPPORT, callback=True, callback_sound="press-1")
NUMBER = "+8613800138000"


def caller(owner: str | None = None, *, number: str = NUMBER, level: int = 1, dial: str | None = "") -> CallerFile:
    back = number.removeprefix("+86") if dial == "" else dial
    return replace(file(owner, level=level), number=number, dial_back=back)


class Backing(Centre):
    """A centre whose line calls back. ``database`` False: what is to be kept stays unkept until ``keep``."""

    def __init__(self, *names: str, line: Line = LINE, policy: Policy | None = None, database: bool = True) -> None:
        self.database = database
        self.unkept: list[CallbackRecord] = []
        self.kept: dict[str, CallbackRecord] = {}
        policy = policy or Policy(timezone="Asia/Shanghai", wrap_up_seconds=0, missed_in_a_row=0)
        super().__init__(*names, lines=(line,), policy=policy)

    def tell(self, event: ev.Event) -> list[act.Action]:
        made = super().tell(event)
        for action in of(act.KeepCallback, made):
            self.unkept.append(action.callback)
        return made + self.keep() if self.database else made

    def keep(self) -> list[act.Action]:
        """The database takes what waits, of each callback the newest."""
        made: list[act.Action] = []
        while self.unkept:
            record = self.unkept.pop(0)
            if all(later.id != record.id for later in self.unkept):
                self.kept[record.id] = record
                made += self.tell(ev.CallbackKept(at=self.now, callback=record))
        return made

    def asks(self, call: str, who: CallerFile | None = None) -> list[act.Action]:
        """A caller arrives, finds nobody, is offered a callback, and presses 1."""
        self.arrive(call, who or caller())
        made = self.wait(self.policy.callback_after_seconds)
        assert of(act.OfferCallback, made), "nothing was offered"
        return self.tell(ev.CallbackAsked(at=self.now, call_id=call))

    def asked_and_gone(self, call: str, who: CallerFile | None = None) -> None:
        self.asks(call, who)
        self.tell(ev.CallOverflowed(at=self.now, call_id=call, to="callback"))
        self.hangs_up(call)

    def frees(self, agent: str) -> list[act.Action]:
        return self.resume(agent)

    # -- the call back -----------------------------------------------------------------------------------------------

    def agent_rings(self, made: Iterable[act.Action]) -> tuple[str, str]:
        """The phone of the one originated call rings; call and leg."""
        [originate] = of(act.Originate, made)
        call, agent = originate.call_id, originate.endpoint
        self.tell(ev.CallStarted(at=self.now, call_id=call, caller=agent, dialled=None, endpoint=agent))
        self.tell(ev.PhoneUsed(at=self.now, endpoint=agent, channels=1))
        leg = f"{agent}-{call}"
        self.tell(ev.LegOffered(at=self.now, call_id=call, leg_id=leg, endpoint=agent, party=agent, originator=True))
        self.tell(ev.LegRang(at=self.now, call_id=call, leg_id=leg))
        return call, leg

    def agent_gone(self, call: str, leg: str, result: LegResult | None = None) -> list[act.Action]:
        agent = leg.partition("-")[0]
        made = self.tell(ev.LegEnded(at=self.now, call_id=call, leg_id=leg, result=result))
        made += self.tell(ev.PhoneUsed(at=self.now, endpoint=agent, channels=0))
        return made + self.tell(ev.CallEnded(at=self.now, call_id=call))

    def customer_rings(self, call: str, leg: str) -> str:
        self.tell(ev.LegAnswered(at=self.now, call_id=call, leg_id=leg))
        entered = ev.CallEntered(
            at=self.now, call_id=call, direction=Direction.OUTBOUND, dialled="13800138000", leg_id=leg
        )
        self.tell(entered)
        customer = f"trunk-{call}"
        self.tell(replace(entered, leg_id=customer, recording=f"2026/03/02/{call}.wav"))
        self.tell(ev.LegOffered(at=self.now, call_id=call, leg_id=customer, endpoint="trunk", party="13800138000"))
        return customer

    def customer_answers(self, call: str, leg: str, customer: str) -> list[act.Action]:
        made = self.tell(ev.LegAnswered(at=self.now, call_id=call, leg_id=customer))
        made += self.tell(ev.TalkStarted(at=self.now, call_id=call, leg_id=customer, peers=(leg.partition("-")[0],)))
        return made + self.tell(ev.TalkStarted(at=self.now, call_id=call, leg_id=leg, peers=("trunk",)))

    def not_reached(self, made: Iterable[act.Action], result: LegResult) -> tuple[str, list[act.Action]]:
        """The agent takes the call, the customer does not."""
        call, leg = self.agent_rings(made)
        customer = self.customer_rings(call, leg)
        after = self.tell(ev.LegEnded(at=self.now, call_id=call, leg_id=customer, result=result))
        return call, after + self.agent_gone(call, leg)


def busy(*names: str, **more: object) -> Backing:
    """Everyone is on a pause."""
    centre = Backing(*names, **more)  # type: ignore[arg-type]
    for name in names:
        centre.pause(name)
    return centre


def restarted(before: Backing, *, calls: Iterable[CallRecord] = (), names: tuple[str, ...] = ("ann",)) -> Backing:
    """A new daemon that has read what the database holds, with no link yet."""
    after = Backing(*names)
    after.tell(ev.LinkLost(at=before.now))
    after.now = before.now + 2
    open_ones = tuple(record for record in before.kept.values() if not record.state.final)
    after.tell(ev.BooksRestored(at=after.now, last_seen_at=before.now, statuses=(), calls=tuple(calls), talks=()))
    after.tell(ev.CallbacksRestored(at=after.now, callbacks=open_ones))
    return after


def linked(centre: Backing, *, gap_told: bool = True) -> list[act.Action]:
    made: list[act.Action] = []
    for name in centre.acd.world.desks:
        made += centre.tell(ev.PhoneReached(at=centre.now, endpoint=name, reachable=True))
    return made + centre.tell(ev.LinkOpened(at=centre.now, gap_told=gap_told))
