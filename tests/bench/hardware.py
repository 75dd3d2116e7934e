"""The machine that a figure was measured on."""

from __future__ import annotations

import os
from typing import Any

import torch

from specialists.training.cards import hardware


def describe() -> dict[str, Any]:
    """In words, with the load that was on it when the benchmark began."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return {"hardware": hardware(device), "load_average": round(os.getloadavg()[0], 2), "torch": torch.__version__}
