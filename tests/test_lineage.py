"""Whose the journal is: a daemon that falls at any moment of its election leaves the next run knowing."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctid.daemon.lineage import Lineage

EPOCHS = {name: name * 32 for name in "abcdef"}


class Host:
    """A daemon's state directory, and the row of the office."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.row: str | None = None

    def run(self, name: str) -> Lineage:
        return Lineage(self.file, epoch=EPOCHS[name])

    def elected(self, run: Lineage, name: str) -> bool:
        """Whether the run that is elected may take the journal up; it falls before it does."""
        run.electing(self.row)
        self.row = EPOCHS[name]
        return run.ours

    def acts(self, name: str) -> Lineage:
        run = self.run(name)
        self.elected(run, name)
        run.obeys()
        run.inherited()
        return run


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "epoch")


def test_a_run_that_fell_between_its_election_and_the_pbx_leaves_the_journal_to_the_next(host: Host) -> None:
    host.acts("a")
    assert host.elected(host.run("b"), "b")
    third = host.run("c")
    assert host.elected(third, "c")
    assert third.obeyed == EPOCHS["a"]


def test_an_election_whose_answer_was_lost_changes_nothing_the_second_time(host: Host) -> None:
    host.acts("a")
    run = host.run("b")
    assert host.elected(run, "b")
    assert host.elected(run, "b")


def test_one_written_down_and_not_elected_leaves_the_journal_to_the_next(host: Host) -> None:
    host.acts("a")
    host.run("b").electing(host.row)
    assert host.elected(host.run("c"), "c")


def test_after_another_acted_the_journal_is_nobody_s_however_often_a_run_falls_before_it_is_put_aside(
    host: Host,
) -> None:
    host.acts("a")
    early = host.run("b")
    early.electing(host.row)  # in vain
    host.row = EPOCHS["f"]  # another daemon's
    assert not host.elected(early, "b")
    assert not host.elected(early, "b")
    third = host.run("c")
    assert not host.elected(third, "c")
    third.obeys()
    assert not host.elected(host.run("d"), "d")
    host.acts("e")
    assert host.elected(host.run("b"), "b")


def test_a_directory_that_takes_nothing_stops_nobody(tmp_path: Path) -> None:
    host = Host(tmp_path / "gone" / "epoch")
    assert host.elected(host.run("a"), "a")
    assert not host.elected(host.run("b"), "b")
