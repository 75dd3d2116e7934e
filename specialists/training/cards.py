"""Model cards: what a pocket model was trained on, how long, on what, and what it scored."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

import torch


def hardware(device: torch.device) -> str:
    """The machine in a few words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    model = next((line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} cores of {model}"


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def write_card(folder: Path, title: str, about: str, facts: Mapping[str, object], scores: Mapping[str, float]) -> None:
    """README.md of a model: `facts` as they are, `scores` as percentages."""
    lines = [f"# {title}", "", about.strip(), "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts.items()]
    lines += [
        "",
        "| measured | exact match |",
        "|---|---|",
        *(f"| {name} | {100 * value:.1f}% |" for name, value in scores.items()),
    ]
    lines += [
        "",
        "Apache-2.0. Trained by the recipes in specialists/training; the text it saw was made by them or by the pocket library.",
        "",
    ]
    (folder / "README.md").write_text("\n".join(lines), "utf-8")
