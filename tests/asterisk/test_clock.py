"""The PBX's clock made steady: what was set is told from what comes late."""

from hypothesis import given
from hypothesis import strategies as st

from ctid.asterisk.clock import STEP, PbxClock

BEGAN = 1_800_000_000.0
HOUR = 3600.0


class Hands:
    """A PBX whose clock can be set, and the monotonic seconds that pass meanwhile."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.passed, self.set = 0.0, ahead
        self.clock = PbxClock(monotonic=lambda: self.passed, wall=lambda: BEGAN - 7)
        self.ping()

    def shows(self) -> float:
        return BEGAN + self.passed + self.set

    def event(self, *, late: float = 0.0) -> float:
        """The steady time of an event sent now that arrives ``late`` seconds from now."""
        stamp = self.shows()
        self.passed += late
        return self.clock.steady(stamp)

    def ping(self, *, way: float = 0.0) -> None:
        asked = self.passed
        self.passed += way / 2
        stamp = self.shows()
        self.passed += way / 2
        self.clock.steady(stamp)  # it is a message like any other
        self.clock.answered(stamp, asked, self.passed)


def test_before_the_pbx_was_asked_the_own_clock_stands_in_and_stamps_are_taken_as_they_come():
    clock = PbxClock(monotonic=lambda: 5.0, wall=lambda: BEGAN)
    assert (clock.now(), clock.shown(), clock.steady(BEGAN + HOUR)) == (BEGAN, BEGAN, BEGAN + HOUR)


def test_it_goes_by_the_pbx_and_not_by_this_host():
    hands = Hands(ahead=300)
    hands.passed += 10
    assert hands.clock.now() == BEGAN + 310 == hands.event()
    assert hands.clock.stepped == 0


def test_a_clock_set_forward_or_back_makes_no_time_pass():
    for by in (HOUR, -HOUR, 90.0, -90.0):
        hands = Hands()
        first = hands.event()
        hands.passed += 20
        hands.set += by
        assert hands.event() - first == 20
        assert hands.clock.stepped == by
        hands.passed += 5
        assert hands.event() - first == 25
        assert hands.clock.shown() == hands.shows()


def test_where_no_event_shows_it_the_next_ping_does():
    hands = Hands()
    hands.set -= HOUR
    hands.ping(way=0.2)
    assert abs(hands.clock.now() - (BEGAN + hands.passed)) < 0.2
    assert abs(hands.clock.shown() - hands.shows()) < 0.2


def test_one_that_stands_by_counts_as_the_one_who_acts_whether_that_took_the_clock_over_or_not():
    acting, standing = Hands(), Hands()
    for hands in (acting, standing):
        hands.set += HOUR
        hands.event()
    assert standing.clock.align(acting.clock.stepped) == 0
    acting.clock.adopt()
    assert standing.clock.align(acting.clock.stepped) == HOUR
    assert (standing.clock.now(), standing.clock.shown()) == (acting.clock.now(), acting.shows())
    assert standing.event() == acting.event()
    late = Hands(ahead=HOUR)  # began when the clock had been set, under calls that are counted by the time before
    assert late.clock.align(HOUR) == -HOUR
    assert (late.clock.now(), late.clock.shown(), late.event()) == (BEGAN, late.shows(), BEGAN)
    assert late.clock.adopt() == HOUR
    assert late.clock.now() == late.shows()


def test_a_clock_set_between_two_runs_makes_no_time_pass():
    for by in (HOUR, -HOUR):
        before, after = Hands(ahead=300), Hands(ahead=300)
        assert before.clock.ahead is not None
        after.clock = PbxClock(monotonic=lambda: after.passed, wall=lambda: BEGAN - 7)  # noqa: B023 - called at once
        after.clock.go_on(before.clock.ahead)
        after.passed, after.set = 10.0, 300 + by
        after.ping()
        assert (after.clock.now(), after.clock.stepped, after.clock.shown()) == (BEGAN + 310, by, after.shows())
        assert after.clock.ahead == before.clock.ahead + by  # the next run goes by the clock as it stands


def test_when_a_set_clock_was_noticed_is_known_and_taking_it_over_is_no_notice():
    hands = Hands()
    assert hands.clock.noticed_at is None
    hands.passed, hands.set = 7.0, HOUR
    hands.event()
    hands.passed = 9.0
    hands.clock.adopt()
    assert hands.clock.noticed_at == 7.0


def test_an_event_that_comes_late_is_late_and_sets_no_clock():
    hands = Hands()
    stamps = []
    for _ in range(10):
        hands.passed += 1
        stamps.append(hands.shows())
    hands.passed += 30  # this process slept
    assert [hands.clock.steady(stamp) for stamp in stamps] == stamps
    assert hands.clock.stepped == 0


def test_an_answer_that_took_long_says_little_about_the_clock():
    hands = Hands()
    asked = hands.passed
    stamp = hands.shows()
    hands.passed += 3.5
    hands.clock.answered(stamp, asked, hands.passed)
    assert hands.clock.stepped == 0


def test_hands_that_are_turned_slowly_are_followed_and_are_no_step():
    hands = Hands()
    for _ in range(100):
        hands.passed += 2
        hands.set += 0.01
        hands.ping()
    assert hands.clock.stepped == 0
    assert abs(hands.clock.now() - hands.shows()) < 1e-6


def test_taken_over_the_clock_shows_what_the_pbx_shows_and_counts_from_there():
    hands = Hands()
    hands.set += HOUR
    hands.event()
    assert hands.clock.adopt() == HOUR
    assert (hands.clock.now(), hands.clock.stepped) == (hands.shows(), 0)
    hands.passed += 3
    assert hands.event() == hands.shows()


@given(
    st.lists(
        st.tuples(
            st.floats(0, 60),
            st.sampled_from([0.0, 0.0, HOUR, -HOUR, 90.0, -90.0, 86400.0]),
            st.floats(0, 1),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_whatever_is_set_and_however_often_durations_stay_true(story: list[tuple[float, float, float, bool]]) -> None:
    """Within what lateness and half a ping's way leave open."""
    hands = Hands()
    begin, slack = hands.event(), STEP
    for seconds, by, late, asked in story:
        hands.passed += seconds
        hands.set += by
        if asked:
            hands.ping(way=late)
        slack += 2 * late
        sent = hands.passed
        assert abs(hands.event(late=late) - begin - sent) <= slack
        hands.ping()
        assert abs(hands.clock.shown() - hands.shows()) < 1e-3
