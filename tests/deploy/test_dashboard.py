"""Grafana's dashboard: it asks for what the code exports, all of it, and is provisioned where compose.yaml puts it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.deploy.files import DEPLOY, read
from tests.deploy.metrics import RECORDED, check_query, known
from tests.deploy.test_prometheus import rules

NOT_SHOWN: set[str] = set()
"""Metrics that neither the dashboard nor an alert asks for, and are meant not to be."""


def dashboard() -> Any:
    return json.loads((DEPLOY / "grafana" / "dashboard.json").read_text("utf-8"))


def panels() -> list[Any]:
    return [p for p in dashboard()["panels"] if p["type"] != "row"]


def queries() -> list[tuple[str, str]]:
    return [(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]


@pytest.mark.parametrize(("title", "query"), queries())
def test_a_panel_asks_for_what_is_exported(title: str, query: str) -> None:
    assert check_query(query), title


def test_all_that_is_exported_is_looked_at() -> None:
    """Of a histogram one of its three series is enough, if it is that of its buckets."""
    asked = {name for _, query in queries() for name in check_query(query)} | {n for rule in rules() for n in check_query(rule["expr"])}
    wanted = {name for name in known() if not re.search(r"_(sum|count)$", name)}
    assert wanted - asked == NOT_SHOWN
    assert asked >= set(RECORDED)


def test_quantiles_are_of_buckets_and_counters_are_rates() -> None:
    for _, query in queries():
        for name in check_query(query):
            if name.endswith("_total"):
                assert re.search(rf"(rate|increase)\({name}\b", query), query
            if name.endswith("_bucket"):
                assert re.search(r"by \([^)]*\ble\b[^)]*\)", query), query


def test_panels_say_what_they_show_and_do_not_overlap() -> None:
    board = dashboard()
    ids = [p["id"] for p in board["panels"]]
    assert len(ids) == len(set(ids))
    assert len({title for title, _ in queries()}) == len(panels())
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells


def test_variables_are_those_that_queries_use() -> None:
    variables = {v["name"]: v for v in dashboard()["templating"]["list"]}
    text = json.dumps(dashboard()["panels"])
    used = set(re.findall(r"\$\{?([a-z_]+)", text)) - {"__rate_interval"}
    assert used == set(variables)
    name, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variables["specialist"]["query"]["query"]).groups()  # type: ignore[union-attr]
    assert label in known()[name]


def test_it_is_provisioned_where_it_is_mounted() -> None:
    volumes = read("compose.yaml")["services"]["grafana"]["volumes"]
    (provider,) = read("grafana/provisioning/dashboards/council.yaml")["providers"]
    assert f"./grafana/dashboard.json:{provider['options']['path']}/dashboard.json:ro" in volumes
    assert "./grafana/provisioning:/etc/grafana/provisioning:ro" in volumes
    (source,) = read("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    assert source["type"] == "prometheus" and source["url"] == "http://prometheus:9090" and source["isDefault"]
