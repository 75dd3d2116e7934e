"""What Prometheus is given: by promtool where it is installed, and by the names that the code exports."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.files import DEPLOY, program, read
from tests.deploy.metrics import RECORDED, check_query

FOLDER = DEPLOY / "prometheus"


def rules() -> list[Any]:
    return [rule for group in read("prometheus/alerts.yaml")["groups"] for rule in group["rules"]]


def promtool(*arguments: str) -> None:
    done = subprocess.run([program("promtool", "Debian's package prometheus"), *arguments], capture_output=True, text=True, cwd=FOLDER)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_configuration_and_the_rules() -> None:
    promtool("check", "config", "prometheus.yaml")
    promtool("check", "rules", "alerts.yaml")


def test_each_alert_fires_on_what_it_is_for() -> None:
    promtool("test", "rules", "alerts.test.yaml")


def test_promtool_would_tell_of_an_alert_that_does_not_fire(tmp_path: Path) -> None:
    spoilt = (FOLDER / "alerts.yaml").read_text().replace("max(ray_council_drift) > 0", "max(ray_council_drift) > 1")
    (tmp_path / "alerts.yaml").write_text(spoilt)
    (tmp_path / "alerts.test.yaml").write_text((FOLDER / "alerts.test.yaml").read_text())
    tool = program("promtool", "Debian's package prometheus")
    done = subprocess.run([tool, "test", "rules", "alerts.test.yaml"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode != 0 and "CouncilDrift" in done.stdout + done.stderr


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_asks_for_what_is_exported(rule: Any) -> None:
    check_query(rule["expr"])


def test_what_is_recorded_is_known() -> None:
    assert {rule["record"] for rule in rules() if "record" in rule} == set(RECORDED)


def test_each_alert_says_what_is_wrong_and_how_bad_it_is() -> None:
    for rule in rules():
        if "alert" in rule:
            assert rule["labels"]["severity"] in ("critical", "warning", "info")
            assert rule["annotations"]["summary"]


def test_each_alert_is_tried_on_a_good_day_and_a_bad_one() -> None:
    tests = yaml.safe_load((FOLDER / "alerts.test.yaml").read_text())["tests"]
    quiet = {t["alertname"] for test in tests for t in test["alert_rule_test"] if not t.get("exp_alerts")}
    fired = {t["alertname"] for test in tests for t in test["alert_rule_test"] if t.get("exp_alerts")}
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    assert alerts == quiet == fired


def test_one_address_is_scraped_under_the_name_that_rules_know() -> None:
    jobs = {job["job_name"]: job for job in read("prometheus/prometheus.yaml")["scrape_configs"]}
    assert jobs["council"]["metrics_path"] == "/metrics"
    assert jobs["council"]["static_configs"] == [{"targets": ["council:8000"]}]
    named = {match for rule in rules() for match in re.findall(r'job="([^"]+)"', rule["expr"])}
    assert named == {"council"}
