"""The call centre of ``test_machine`` with callbacks: callers press 1, the database is slow or silent, phones and
customers do not answer, the link breaks at any moment.

Invariants besides those of ``test_machine``: nothing rings that is not stored as ringing, nobody is called back twice, a number
has one open callback, and a callback that is due does not wait while an allowed agent is idle.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from ctid.domain import actions as act
from ctid.domain import events as ev
from ctid.domain.acd import Acd
from ctid.domain.types import CallbackRecord, CallbackState, CallerFile, Direction, LegResult
from tests.domain import naive
from tests.domain.test_machine import AGENTS, LINES, CallCentre, _runs

NUMBERS = tuple(f"+861380013800{digit}" for digit in range(3))


class CallingBack(CallCentre):
    def __init__(self) -> None:
        super().__init__()
        self.policy = replace(
            self.policy, callback_after_seconds=0, callback_retry_seconds=50, callback_tries=2, callback_most=2
        )
        self.acd = Acd(self.policy, tuple(replace(line, callback=line.name != "gated") for line in LINES), "lab")
        self.unkept: dict[str, CallbackRecord] = {}
        self.store: dict[str, CallbackRecord] = {}
        self.orders: dict[str, act.Originate] = {}  # asked of the PBX, whose phone does not ring yet
        self.agents_ring: dict[str, tuple[str, str]] = {}  # call -> (leg, phone)
        self.customers_ring: dict[str, tuple[str, str]] = {}
        self.thanked: list[str] = []
        self.silent = False  # the database
        self.reached: Counter[str] = Counter()

    # -- the world ---------------------------------------------------------------------------------------------------

    def tell(self, event: ev.Event) -> list[act.Action]:
        made = super().tell(event)
        for action in made:
            if isinstance(action, act.KeepCallback):
                self.unkept[action.callback.id] = action.callback
            elif isinstance(action, act.Originate):
                assert not self.in_use(action.endpoint), f"{action.endpoint} was rung while in use"
                [kept] = [r for r in self.store.values() if r.attempt == action.call_id]
                assert kept.state is CallbackState.CALLING
                assert not self.reached[kept.id]
                self.orders[action.call_id] = action
            elif isinstance(action, act.Overflow) and self.held.get(action.call_id) == action.seq:
                assert action.to == "callback"
                assert any(r.id == self.acd.world.calls[action.call_id].callback for r in self.store.values())
                del self.held[action.call_id]
                self.thanked.append(action.call_id)
            elif isinstance(action, act.NoteCallEnded) and action.call.direction is Direction.OUTBOUND:
                self.over.add(action.call.id)
        return made

    def in_use(self, phone: str) -> bool:
        ours = {*self.agents_ring.values(), *self.customers_ring.values()}
        ordered = any(order.endpoint == phone for order in self.orders.values())
        return super().in_use(phone) or ordered or any(p == phone for _, p in ours)

    def say_use(self, phone: str) -> None:
        live = [*self.ringing.values(), *self.agents_ring.values(), *self.customers_ring.values()]
        count = sum(p == phone for _, p in live) + sum(p == phone for _, p, _ in self.talking.values())
        self.tell(ev.PhoneUsed(at=self.now, endpoint=phone, channels=count))

    @precondition(lambda self: self.asked)
    @rule(owner=st.sampled_from([None, *AGENTS]), level=st.integers(1, 5), number=st.sampled_from(NUMBERS))
    def they_are_known(self, owner: str | None, level: int, number: str) -> None:
        call = self.asked.pop(0)
        attempt = next((r.number for r in self.store.values() if call in (r.id, r.attempt)), number)
        file = CallerFile(owner=owner, level=level, number=attempt, dial_back=attempt[3:])
        self.tell(ev.CallerIdentified(at=self.now, call_id=call, file=file))

    # -- asking ------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def press_1(self, data: st.DataObject) -> None:
        self.tell(ev.CallbackAsked(at=self.now, call_id=data.draw(st.sampled_from(sorted(self.held)))))

    @precondition(lambda self: self.unkept)
    @rule()
    def the_database_writes(self) -> None:
        while self.unkept:
            _, record = self.unkept.popitem()
            self.store[record.id] = record
            self.tell(ev.CallbackKept(at=self.now, callback=record))

    @rule(silent=st.sampled_from([True, False, False]))
    def the_database(self, silent: bool) -> None:
        self.silent = silent

    def wait(self, seconds: float) -> None:
        if not self.silent:
            self.the_database_writes()
        if seconds > 2:
            self.orders.clear()  # the command was lost: the PBX acts on one at once
        super().wait(seconds)

    @precondition(lambda self: self.thanked)
    @rule(heard=st.booleans())
    def who_was_thanked_leaves(self, heard: bool) -> None:
        call = self.thanked.pop()
        if heard:
            self.tell(ev.CallOverflowed(at=self.now, call_id=call, to="callback"))
        self.give_up(call)

    @rule(number=st.sampled_from(NUMBERS), line=st.sampled_from(["4001", "4003", "4004"]))
    def somebody_asks_and_goes(self, number: str, line: str) -> None:
        """As most callbacks begin; in ones and twos the steps of it seldom come in this order."""
        for agent in self.seated.values():
            self.pause(agent, away=True)
        self.arrive(line)
        call = f"c{self.number}"
        while self.asked:
            self.they_are_known(None, 1, number)
        if call in self.held and call not in self.routes:
            self.tell(ev.CallbackAsked(at=self.now, call_id=call))
            self.the_database_writes()
            while self.thanked:
                self.who_was_thanked_leaves(heard=True)
        for agent in sorted(self.seated.values()):
            self.pause(agent, away=False)

    # -- calling back ------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), how=st.sampled_from(["rings", "rings", "rings", "unreachable", "refused", "lost"]))
    def the_pbx_is_asked(self, data: st.DataObject, how: str) -> None:
        call = data.draw(st.sampled_from(sorted(self.orders)))
        order = self.orders.pop(call)
        if how == "lost":
            self.tell(ev.TimePassed(at=self.now))
        elif how != "rings":
            result = LegResult.UNREACHABLE if how == "unreachable" else None
            self.tell(ev.CallNotMade(at=self.now, call_id=call, result=result))
        else:
            self.number += 1
            self.agents_ring[call] = (f"{order.endpoint}-{self.number}", order.endpoint)
            self.show(call, *self.agents_ring[call])

    def show(self, call: str, leg: str, phone: str) -> None:
        self.tell(ev.CallStarted(at=self.now, call_id=call, caller=phone, endpoint=phone))
        self.say_use(phone)
        self.tell(ev.LegOffered(at=self.now, call_id=call, leg_id=leg, endpoint=phone, party=phone, originator=True))
        self.tell(ev.LegRang(at=self.now, call_id=call, leg_id=leg))

    @precondition(lambda self: self.agents_ring)
    @rule(data=st.data(), result=st.sampled_from([None, None, LegResult.NO_ANSWER, LegResult.BUSY]))
    def the_agent(self, data: st.DataObject, result: LegResult | None) -> None:
        call = data.draw(st.sampled_from(sorted(self.agents_ring)))
        leg, phone = self.agents_ring.pop(call)
        if result is not None:
            self.gone(call, leg, phone, result)
            return
        self.customers_ring[call] = (leg, phone)
        self.tell(ev.LegAnswered(at=self.now, call_id=call, leg_id=leg))
        self.tell(ev.LegOffered(at=self.now, call_id=call, leg_id=f"t-{call}", endpoint="trunk", party="138"))

    @precondition(lambda self: self.customers_ring)
    @rule(data=st.data(), result=st.sampled_from([None, None, LegResult.NO_ANSWER, LegResult.BUSY]))
    def the_customer(self, data: st.DataObject, result: LegResult | None) -> None:
        call = data.draw(st.sampled_from(sorted(self.customers_ring)))
        leg, phone = self.customers_ring.pop(call)
        if result is not None:
            self.tell(ev.LegEnded(at=self.now, call_id=call, leg_id=f"t-{call}", result=result))
            self.gone(call, leg, phone, None)
            return
        self.reached[self.acd.world.calls[call].callback or ""] += 1
        self.talking[call] = (leg, phone, self.now)
        self.tell(ev.LegAnswered(at=self.now, call_id=call, leg_id=f"t-{call}"))
        self.tell(ev.TalkStarted(at=self.now, call_id=call, leg_id=leg, peers=("trunk",)))

    @rule(
        data=st.data(),
        agent=st.sampled_from([None, None, LegResult.NO_ANSWER]),
        customer=st.sampled_from([None, LegResult.BUSY]),
        seconds=st.sampled_from([0.5, 30]),
    )
    def one_is_called_back(
        self, data: st.DataObject, agent: LegResult | None, customer: LegResult | None, seconds: float
    ) -> None:
        self.the_database_writes()
        if self.orders:
            self.the_pbx_is_asked(data, "rings")
        if self.agents_ring:
            self.the_agent(data, agent)
        if self.customers_ring:
            self.wait(seconds)
            self.the_customer(data, customer)

    def gone(self, call: str, leg: str, phone: str, result: LegResult | None) -> None:
        self.tell(ev.LegEnded(at=self.now, call_id=call, leg_id=leg, result=result))
        self.say_use(phone)
        self.tell(ev.CallEnded(at=self.now, call_id=call))

    # -- the link ----------------------------------------------------------------------------------------------------

    def also_there(self) -> None:
        self.orders.clear()  # sent into the void, or never
        for call, (leg, phone) in {**self.agents_ring, **self.customers_ring}.items():
            self.show(call, leg, phone)
            if call in self.customers_ring:
                self.tell(ev.LegOffered(at=self.now, call_id=call, leg_id=f"t-{call}", endpoint="trunk", party="138"))
        for call in self.thanked:
            self.tell(ev.CallStarted(at=self.now, call_id=call, caller="1", endpoint="trunk"))

    # -- what must always hold ---------------------------------------------------------------------------------------

    @invariant()
    def a_number_has_one_open_callback(self) -> None:
        numbers = Counter(callback.record.number for callback in self.acd.world.callbacks.values())
        assert all(count == 1 for count in numbers.values()), numbers
        assert len(numbers) <= self.policy.callback_most

    @invariant()
    def nobody_is_called_back_twice(self) -> None:
        assert all(count == 1 for count in self.reached.values()), self.reached

    @invariant()
    def a_callback_keeps_its_place_and_is_served_while_an_allowed_agent_is_idle(self) -> None:
        world = self.acd.world
        engaged = {c.file.number for c in world.calls.values() if c.live and c.direction is not Direction.INTERNAL}
        idle = [desk for desk in world.desks.values() if naive.skip(world, desk) is None]
        for callback in world.callbacks.values():
            record = callback.record
            due = callback.kept and record.state is CallbackState.WAITING and record.due_at <= self.now
            if due and record.number not in engaged and world.linked:
                able = [d.id for d in idle if naive.serves(d, callback.line) and d.id not in callback.tried]
                able = [a for a in able if naive.barred(world.desks[a], callback.line, callback.file) is None]
                assert not able, f"{callback.id} waits while {able} are idle"


TestCallingBack = CallingBack.TestCase
TestCallingBack.settings = _runs(150)
