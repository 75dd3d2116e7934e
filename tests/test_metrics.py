"""Members' metrics, read where Prometheus would read them: at the node's export port."""

from __future__ import annotations

import time

import httpx
import pytest
import ray

from specialists.deployment import HostPool
from specialists.protocol import GenerationRequest
from tests.test_deployment import ASKED, engine, specialist


def exported(name: str) -> dict[str, float]:
    """The values of a metric by its specialist."""
    (node,) = ray.nodes()  # type: ignore[no-untyped-call]
    text = httpx.get(f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics", timeout=10).text
    lines = [line for line in text.splitlines() if line.startswith(f"ray_{name}{{") and 'engine="metered"' in line]
    return {line.split('specialist="')[1].split('"')[0]: float(line.rsplit(" ", 1)[1]) for line in lines}


@pytest.mark.slow
async def test_tokens_and_errors_are_counted_by_member(ray_session: None) -> None:
    pool = HostPool("metered", [engine("metered", fail=["b"])], [specialist("a", "metered"), specialist("b", "metered")])
    pool.start()
    try:
        made = await pool.generate("metered", [GenerationRequest("a", ASKED), GenerationRequest("a", ASKED), GenerationRequest("b", ASKED)])
        assert [g.error is None for g in made] == [True, True, False]
        deadline = time.monotonic() + 60
        while exported("council_member_generations_total") != {"a": 2.0, "b": 1.0}:
            assert time.monotonic() < deadline, "not exported within a minute"
            time.sleep(0.5)
        assert exported("council_member_errors_total") == {"b": 1.0}
        assert exported("council_member_prompt_tokens_total") == {"a": float(sum(g.prompt_tokens for g in made[:2]))}
        assert exported("council_member_seconds_count") == {"a": 2.0}
    finally:
        pool.stop()
