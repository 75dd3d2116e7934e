"""Imports run one way, heavy libraries have owners, and the public names are these."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = {  # a module may import those of its own row's number or below, but for siblings of row 2
    "council.types": 0, "council.errors": 0, "council.service_config": 0,
    "council.config": 1, "council.loop": 1, "council.cross_encoder": 1, "council.sentences": 1,
    "council.keys": 1, "council.limits": 1, "council.audit": 1, "council.keys_commands": 9,
    "council.router": 2, "council.retrieval": 2, "council.prompting": 2, "council.aggregator": 2, "council.entailment": 2,
    "council.needs": 2,
    "council.events": 2, "council.options": 2, "council.history": 2, "council.tracing": 1, "council.metrics": 4,
    "council.panel": 3, "council.rendering": 3, "council.demo": 3, "council.live_vote": 3,
    "council.deliberation": 4, "council.grounding": 4,
    "council.remote": 1, "council.client": 8,
    "council.inquiry": 5, "council.pipeline": 6, "council.orchestrator": 7,
    "council.doctor": 8, "council.terminal": 8,
    "council.service": 8, "council.routes": 9, "council.app": 10, "council.serve": 11, "council.server": 12, "council.serve_command": 13,
    "council.evaluation": 9, "council.documents": 9, "council.examples": 9, "council.cli": 14,
}  # fmt: skip
SHARED = {"specialists.protocol", "specialists.config", "specialists.prompt_format", "specialists.tokens"}
HOSTS_KNOWN_TO = {
    "specialists.deployment": {"council/orchestrator.py", "council/doctor.py", "council/serve.py", "council/server.py"},
    "specialists.hosts": {"council/panel.py", "council/pipeline.py", "council/orchestrator.py", "council/serve.py"},
}
ROUTES = ("caller", "chat", "documents", "envelope", "operations", "page", "proxy", "questions", "refusals", "streaming")
OWNERS = {
    "ray": {
        *("specialists/deployment.py", "specialists/hosts.py", "specialists/metrics.py"),
        *("council/metrics.py", "council/serve.py", "council/server.py"),
    },
    "fastapi": {"council/app.py", *(f"council/routes/{name}.py" for name in ROUTES)},
    "starlette": {"council/app.py", *(f"council/routes/{name}.py" for name in ROUTES)},
    "qdrant_client": {
        "council/retrieval/server_client.py",
        "council/retrieval/server_collections.py",
        "council/retrieval/server_keys.py",
        "council/retrieval/server_migration.py",
        "council/retrieval/server_store.py",
    },
    "tenacity": {"council/remote.py", "council/retrieval/server_client.py"},
    "qdrant_edge": {"council/retrieval/edge_store.py", "council/retrieval/sparse.py"},
    "sentence_transformers": {
        "council/retrieval/embedder.py",
        "council/retrieval/rerank.py",
        "council/entailment.py",
        "council/cross_encoder.py",
    },
    "peft": {"specialists/training/lora.py"},
    "vllm": {"specialists/engines/vllm.py"},
    "openai": {"specialists/engines/openai.py"},
    "pypdf": {"council/retrieval/readers/pdf.py"},
    "bs4": {"council/retrieval/readers/html.py"},
    "docx": {"council/retrieval/readers/docx.py"},
    "charset_normalizer": {"council/retrieval/readers/encoding.py"},
}
TORCH = ("specialists/engines/transformers.py", "specialists/engines/lora.py", "specialists/training/", "council/doctor.py")


def modules() -> dict[str, ast.Module]:
    files = [p for folder in ("council", "specialists") for p in (ROOT / folder).rglob("*.py")]
    return {str(p.relative_to(ROOT)): ast.parse(p.read_text()) for p in files}


def imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def layer(name: str) -> str | None:
    return next((known for known in LAYERS if name == known or name.startswith(f"{known}.")), None)


@pytest.mark.parametrize(("path", "tree"), modules().items(), ids=modules())
def test_imports_run_one_way(path: str, tree: ast.Module) -> None:
    own = layer(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    for name in imported(tree):
        if path.startswith("specialists/"):
            assert not name.startswith("council"), f"{path} imports {name}"
        elif name.startswith("specialists"):
            allowed = name in SHARED or path in HOSTS_KNOWN_TO.get(name, ())
            assert allowed, f"{path} imports {name}"
        other = layer(name)
        if own is not None and other is not None and own != other:
            assert LAYERS[other] < LAYERS[own], f"{path} imports {name}"


@pytest.mark.parametrize(("path", "tree"), modules().items(), ids=modules())
def test_heavy_libraries_have_owners(path: str, tree: ast.Module) -> None:
    for name in imported(tree):
        top = name.split(".")[0]
        assert path in OWNERS.get(top, {path}), f"{path} imports {name}"
        if top == "torch":
            assert path.startswith(TORCH), f"{path} imports {name}"


def test_every_module_of_the_council_has_a_layer() -> None:
    known = {layer(p.removesuffix(".py").removesuffix("/__init__").replace("/", ".")) for p in modules() if p.startswith("council/")}
    assert None in known  # council itself
    assert known - {None} == set(LAYERS)


def test_the_public_names_are_these() -> None:
    import council

    assert sorted(council.__all__) == sorted(
        [
            "Confidence",
            "Council",
            "CouncilClient",
            "CouncilConfig",
            "CouncilError",
            "Group",
            "Opinion",
            "Passage",
            "Provenance",
            "Question",
            "Source",
            "Verdict",
            "load_config",
        ]
    )
    assert all(getattr(council, name) is not None for name in council.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Counsel'"):
        _ = council.Counsel


def test_importing_council_brings_nothing_heavy() -> None:
    code = "import sys, council; print(sorted({'ray', 'torch', 'transformers', 'qdrant_client'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
