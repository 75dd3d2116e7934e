"""The metrics that the code exports, and whether a query asks for others."""

from __future__ import annotations

import importlib
import re
from functools import cache
from typing import Any

import pytest
from ray.util.metrics import Counter, Histogram, Metric

from council.metrics import exported
from specialists.metrics import MemberMetrics

RECORDED = {"council:verdicts:rate15m": (), "council:answer_share:15m": (), "council:opinions:rate15m": ("specialist",)}
"""What prometheus/alerts.yaml records, and the labels of each."""
OF_PROMETHEUS = {"up": ("job", "instance")}
"""What a Prometheus server notes itself."""
ADDED = {"job"}
"""Labels that Prometheus adds. Ray adds WorkerId, NodeAddress and more, on which no query depends."""
GRAFANA = {"$__rate_interval": "1m", "$__range": "1h", "$specialist": "law|physics"}


@cache
def known() -> dict[str, tuple[str, ...]]:
    """The names that Prometheus sees -> their labels: the council's, the members', those recorded from them, and Prometheus' own."""
    names = exported() | RECORDED | OF_PROMETHEUS
    for metric in vars(MemberMetrics("engine")).values():
        if isinstance(metric, Metric):
            name, tags = f"ray_{metric.info['name']}", tuple(metric.info["tag_keys"])
            if isinstance(metric, Histogram):
                names |= {f"{name}_bucket": (*tags, "le"), f"{name}_sum": tags, f"{name}_count": tags}
            else:
                names[f"{name}_total" if isinstance(metric, Counter) else name] = tags
    return names


def check_query(query: str) -> set[str]:
    """The metrics that a PromQL query asks for. Fails if it is none, or asks for a metric or a label that nothing exports."""
    promql = pytest.importorskip("promql_parser", reason="promql-parser is not installed")
    for variable, value in GRAFANA.items():
        query = query.replace(variable, value)
    assert "$" not in query, f"{query}: an unknown variable"
    tree = promql.parse(query)
    names = set()
    for selector in _selectors(tree):
        names.add(selector.name)
        assert selector.name in known(), f"{query}: nothing exports {selector.name}"
        for matcher in _matchers(selector):
            assert matcher in {*known()[selector.name], *ADDED}, f"{query}: {selector.name} has no label {matcher}"
    labels = {label for name in names for label in known()[name]} | ADDED
    for grouped in re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", query):
        for label in filter(None, map(str.strip, grouped.split(","))):
            assert label in labels, f"{query}: nothing that it asks for has a label {label}"
    return names


def _selectors(tree: Any) -> list[Any]:
    """All vector selectors in a query."""
    promql, found = importlib.import_module("promql_parser"), []

    def visit(node: Any) -> bool:
        if isinstance(node, promql.VectorSelector):
            found.append(node)
        return True

    promql.walk(tree, visit)
    return found


def _matchers(selector: Any) -> list[str]:
    return [m.name for m in selector.matchers.matchers]
