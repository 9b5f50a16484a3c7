"""The metrics page: bounded, and one clear line where it cannot be served."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctid import metrics
from ctid.asterisk.messages import WANTED
from ctid.config import Address
from lab.process import TOP


def counted(event: str) -> float:
    return metrics.REGISTRY.get_sample_value("ctid_ami_events_total", {"event": event}) or 0.0


def test_an_event_is_counted_by_its_name() -> None:
    before = counted("Newchannel")
    metrics.count_ami_event("Newchannel")
    assert counted("Newchannel") == before + 1


@given(st.text())
def test_whatever_a_pbx_sends_the_page_does_not_grow(name: str) -> None:
    def series() -> int:
        return sum(len(family.samples) for family in metrics.REGISTRY.collect() if family.name.startswith("ctid_"))

    before = series()
    metrics.count_ami_event(name)
    assert series() == before


def test_each_event_that_manager_conf_lets_through_has_its_own_count() -> None:
    passed = set(re.findall(r"name\((\w+)\)", (TOP / "dialplan/manager.conf.sample").read_text()))
    assert passed == metrics.AMI_EVENTS
    assert passed == {name.decode() for name in WANTED} | {"FullyBooted"}, "least rights: just what the tracker reads"


def test_a_port_in_use_is_one_line_that_names_the_key() -> None:
    page = metrics.serve(Address(host="127.0.0.1", port=0))
    try:
        with pytest.raises(metrics.AddressTakenError, match=r"^metrics\.listen: .*in use.*; [^\n]*$"):
            metrics.serve(Address(host="127.0.0.1", port=page.port))
    finally:
        page.close()


def test_a_closed_page_frees_its_port() -> None:
    page = metrics.serve(Address(host="127.0.0.1", port=0))
    page.close()
    metrics.serve(Address(host="127.0.0.1", port=page.port)).close()
