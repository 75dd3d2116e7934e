"""Spans of a question, as an exporter gets them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from council import Council, CouncilConfig, tracing
from tests.conftest import MEMBERS, scripted_config


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider.get_tracer("test"))
    yield exporter
    tracing.use(None)
    provider.shutdown()


def test_there_is_a_span_for_each_stage_and_each_member(ray_session: None, spans: InMemorySpanExporter, tmp_path: Path) -> None:
    tree = scripted_config({m: {"": "Ada Trell"} for m in MEMBERS}, hosts=2, fail=["law"])
    tree |= {"retrieval": {"store": {"path": str(tmp_path / "s")}}}
    with Council(CouncilConfig.model_validate(tree)) as council:
        verdict = council.ask("Who keeps the light?", check=False)
    assert verdict.status == "answered"
    found = spans.get_finished_spans()
    (question,) = [s for s in found if s.name == "question"]
    assert question.context is not None
    children = [s for s in found if s.parent is not None and s.parent.span_id == question.context.span_id]
    assert {s.name for s in children} == {"retrieve", "route", "member", "vote"}
    members = {str((s.attributes or {})["specialist"]): (s.attributes or {})["failed"] for s in children if s.name == "member"}
    assert members == {m: m == "law" for m in MEMBERS}
    assert all((question.start_time or 0) <= (s.end_time or 0) <= (question.end_time or 0) for s in children)


def test_without_a_tracer_nothing_is_done() -> None:
    with tracing.span("nothing"):
        tracing.note("nothing", 1.0)
