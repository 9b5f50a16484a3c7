"""Metrics, alert rules and dashboard, judged by promtool and against each other."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from ctid import metrics
from ctid.config import Address
from lab import promtool
from lab.process import TOP

# As the contract with dashboards names them.
CONTRACT = [
    "ctid_up",
    "ctid_ami_connected",
    "ctid_ami_events_total{event}",
    "ctid_calls_total{direction,outcome}",
    "ctid_routing_decisions_total{rule}",
    "ctid_routing_decision_seconds",
    "ctid_pop_seconds",
    "ctid_calls_waiting",
    "ctid_agents{state}",
    "ctid_recordings_total{state}",
    "ctid_unlinked_recordings",
    "ctid_db_pending_writes",
    "ctid_ami_lag_seconds",
    "ctid_ledger_drift_seconds",
]


async def scraped() -> str:
    page = metrics.serve(Address(host="127.0.0.1", port=0))
    try:
        url = f"http://127.0.0.1:{page.port}/metrics"
        return await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=10).read().decode())
    finally:
        page.close()


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((TOP / "config/ctid.rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((TOP / "config/grafana-ctid.json").read_text())
    return loaded


def named(expression: str) -> set[str]:
    return {re.sub(r"_bucket$", "", name) for name in re.findall(r"\bctid_[a-z_]+", expression)}


async def test_promtool_has_nothing_to_say_about_what_is_scraped() -> None:
    assert await promtool.check_metrics(await scraped()) == (0, "")


async def test_every_metric_of_the_contract_is_scraped_with_its_labels() -> None:
    page = await scraped()
    for wanted in CONTRACT:
        name, _, labels = wanted.rstrip("}").partition("{")
        found = re.search(rf"^{name}(?:_bucket)?(?:\{{(.*?)\}})? ", page, re.MULTILINE)
        assert found, name
        given = set(re.findall(r"(\w+)=", found[1] or "")) - {"le"}
        assert given == set(labels.split(",") if labels else []), name


async def test_promtool_accepts_the_alert_rules() -> None:
    status, output = await promtool.check_rules(TOP / "config/ctid.rules.yml")
    assert status == 0, output


async def test_alerts_and_panels_ask_only_for_metrics_that_exist() -> None:
    existing = {
        re.sub(r"_(total|bucket|count|sum)$", "", name)
        for name in re.findall(r"^(ctid_\w+)", await scraped(), re.MULTILINE)
    }
    panels = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    for expression in [rule["expr"] for rule in rules()] + panels:
        assert {re.sub(r"_total$", "", name) for name in named(expression)} <= existing, expression


def test_every_metric_of_the_contract_has_a_panel() -> None:
    shown = {name for panel in dashboard()["panels"] for t in panel["targets"] for name in named(t["expr"])}
    assert {wanted.partition("{")[0] for wanted in CONTRACT} <= shown


def test_every_alert_says_what_is_the_matter_and_where_to_look() -> None:
    for rule in rules():
        assert rule["annotations"]["summary"].strip(), rule["alert"]
        assert rule["annotations"]["runbook"].strip(), rule["alert"]


async def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    """Prometheus' own unit tests of rules: one bad quarter of an hour, and one good."""

    def series(**values: str) -> list[dict[str, str]]:
        return [{"series": name, "values": text} for name, text in values.items()]

    bad = [
        *series(
            ctid_up="0x40",
            ctid_acting="0x40",
            ctid_ami_connected="0x40",
            ctid_mqtt_connected="0x40",
            ctid_lease_missed_total="0+1x40",
            ctid_db_pending_writes="30+5x40",
            ctid_journal_dropped_total="0+1x40",
            ctid_unlinked_recordings="2x40",
            ctid_recordings_free_bytes="1e9x40",
            ctid_recordings_folder_ok="0x40",
            ctid_longest_wait_seconds="200+30x40",
            ctid_ledger_drift_seconds="9x40",
            ctid_ami_lag_seconds="4x40",
        ),
        {"series": 'ctid_shedding{what="roster"}', "values": "1x40"},
        {"series": 'ctid_recordings_total{state="missing"}', "values": "0+1x40"},
        {"series": 'ctid_pop_seconds_bucket{le="1.0"}', "values": "0x40"},
        {"series": 'ctid_pop_seconds_bucket{le="5.0"}', "values": "0+10x40"},
        {"series": 'ctid_pop_seconds_bucket{le="+Inf"}', "values": "0+10x40"},
    ]
    good = [
        *series(
            ctid_up="1x40",
            ctid_acting="1x40",
            ctid_ami_connected="1x40",
            ctid_mqtt_connected="1x40",
            ctid_lease_missed_total="3x40",
            ctid_db_pending_writes="0 3 1 0 2 1 0x35",
            ctid_journal_dropped_total="3x40",
            ctid_unlinked_recordings="0x40",
            ctid_recordings_free_bytes="NaN 9e9x40",
            ctid_recordings_folder_ok="NaN 1 0 1x37",
            ctid_longest_wait_seconds="20x40",
            ctid_ledger_drift_seconds="0x40",
            ctid_ami_lag_seconds="0.01x40",
        ),
        {"series": 'ctid_shedding{what="roster"}', "values": "0 1 1 0x37"},
        {"series": 'ctid_shedding{what="lease"}', "values": "0x40"},
        {"series": 'ctid_acting{instance="other"}', "values": "0x40"},
        {"series": 'up{job="ctid"}', "values": "1x40"},
        {"series": 'ctid_recordings_total{state="complete"}', "values": "0+9x40"},
        {"series": 'ctid_recordings_total{state="missing"}', "values": "2x40"},
    ]

    def count(name: str, firing: int) -> dict[str, Any]:
        found = [{"labels": "{}", "value": 1}] if firing else []
        return {
            "expr": f'max by () (ALERTS{{alertname="{name}", alertstate="firing"}})',
            "eval_time": "30m",
            "exp_samples": found,
        }

    names = [rule["alert"] for rule in rules()]
    tests = [
        {"interval": "1m", "input_series": given, "promql_expr_test": [count(name, firing) for name in names]}
        for given, firing in ((bad, 1), (good, 0))
    ]
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(TOP / "config/ctid.rules.yml")], "tests": tests}))
    status, output = await promtool.test_rules(file)
    assert status == 0, output
