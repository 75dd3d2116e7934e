"""What the tests of deploy/ share: its files, read, and a program that may not be installed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"


def read(path: str) -> Any:
    """A YAML file of deploy/ with one document."""
    return yaml.safe_load((DEPLOY / path).read_text("utf-8"))


def read_all(path: str) -> list[Any]:
    """A YAML file of deploy/ with any number of them."""
    return list(yaml.safe_load_all((DEPLOY / path).read_text("utf-8")))


def program(name: str, package: str) -> str:
    """The path of a program; the test is skipped where it is not installed. A variable such as PROMTOOL names another place."""
    found = os.environ.get(name.upper()) or shutil.which(name) or shutil.which(name, path=str(ROOT / ".venv" / "bin"))
    if found is None:
        pytest.skip(f"{name} is not installed: it comes with {package}")
    return found
