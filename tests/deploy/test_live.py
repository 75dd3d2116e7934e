"""A Prometheus server that reads what Ray exports: every query of the dashboard finds something, and no rule fails."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import ray
import yaml

from council.metrics import Metrics
from council.types import NOT_KNOWN, Opinion, Verdict
from specialists.metrics import MemberMetrics
from specialists.protocol import Generation, Sample
from tests.deploy.files import DEPLOY, program, read
from tests.deploy.test_dashboard import queries

STAGES = {"retrieve": 0.02, "route": 0.01, "generate": 0.4, "vote": 0.01, "check": 0.3, "score": 0.2, "total": 1.0}


class Busy:
    """An actor to which everything happens that is counted."""

    def __init__(self) -> None:
        self._metrics, self._members = Metrics(), MemberMetrics("engine")

    def work(self) -> None:
        """One question of each kind, and their generations."""
        errors = (None, "late: no answer within 5 s", "host 'engine' died", "cancelled: the outcome was settled without it")
        opinions = [Opinion(specialist="law", weight=0.25, answer="Tribonian", latency_s=0.3, error=error) for error in errors]
        opinions.append(Opinion(specialist="physics", weight=0.25, answer=NOT_KNOWN, latency_s=0.2))
        for status in ("answered", "abstained", "failed"):
            verdict = Verdict(
                status=status,
                reason="so",
                agreement=0.8,
                calls=5,
                opinions=tuple(opinions),
                timings_s=STAGES,
                warnings=("Drift: other questions",),
            )
            self._metrics.verdict(verdict, 1.0, 0.1)
        for ending in ("refused", "late", "cancelled", "error"):
            self._metrics.ended(ending)
        for route, code in (("/v1/council", 200), ("/v1/council", 503), ("/ready", 200)):
            self._metrics.request(route, code)
        self._metrics.load(3, 2, True)
        made = Generation("law", (Sample("Tribonian", 4, "stop"),), 60, 0.4, 5, queued_s=0.1, first_token_s=0.2, cached_tokens=30)
        self._members.count([made, Generation("law", error="no room")])


@pytest.fixture
def prometheus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[httpx.Client]:
    """A server with this project's configuration, but for its haste and the address that it reads."""
    found = program("prometheus", "Debian's package prometheus")
    request.getfixturevalue("ray_session")  # asked for here: Ray need not start where the test is skipped
    (node,) = ray.nodes()  # type: ignore[no-untyped-call]
    tree = read("prometheus/prometheus.yaml") | {"rule_files": [str(DEPLOY / "prometheus" / "alerts.yaml")]}
    tree["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    tree["scrape_configs"] = [job for job in tree["scrape_configs"] if job["job_name"] == "council"]
    tree["scrape_configs"][0]["static_configs"][0]["targets"] = [f"{node['NodeManagerAddress']}:{node['MetricsExportPort']}"]
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(tree))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    arguments = [f"--config.file={tmp_path / 'prometheus.yaml'}", f"--storage.tsdb.path={tmp_path / 'data'}", "--log.level=error"]
    with subprocess.Popen([found, *arguments, f"--web.listen-address={address}"]) as server:
        try:
            with httpx.Client(base_url=f"http://{address}/api/v1", timeout=10, trust_env=False) as client:
                yield client
        finally:
            server.terminate()


def ask(server: httpx.Client, path: str, **parameters: str) -> Any:
    """The data of an answer; None while the server starts."""
    try:
        reply = server.get(path, params=parameters)
    except httpx.TransportError:
        return None
    if reply.status_code == 503:
        return None
    body = json.loads(reply.text)
    assert body["status"] == "success", body
    return body["data"]


@pytest.mark.slow
def test_every_query_finds_something(prometheus: httpx.Client) -> None:
    kind: Any = ray.remote(num_cpus=0)(Busy)
    actor = kind.remote()
    left = [query.replace("$__rate_interval", "1m").replace("$specialist", "law|physics") for _, query in queries()]
    ends = time.monotonic() + 150
    while left:
        assert time.monotonic() < ends, f"nothing was found for {left}"
        ray.get(actor.work.remote())
        time.sleep(1)
        left = [query for query in left if not (ask(prometheus, "query", query=query) or {}).get("result")]
    groups = ask(prometheus, "rules")["groups"]
    assert {rule["name"]: rule["lastError"] for g in groups for rule in g["rules"] if rule.get("lastError")} == {}
    ray.kill(actor)
