"""What tests of the page share: a browser, a scripted council that the page can be tried on, and ways to ask it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from tests.conftest import MEMBERS, scripted_config

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

REQUIRED: Final = os.environ.get("COUNCIL_REQUIRE_BROWSER") == "1"
"""Whether tests fail, rather than skip, where there is no browser."""
ARGUMENTS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
LIGHT: Final = "The Varn light was built in 1911. Ada Trell keeps it."
ASKED: Final = "Who keeps the Varn light?"
FERRY: Final = "When does the ferry to Oskel leave?"
HOSTILE: Final = "What is painted on the hull?"
MUTE: Final = "What does the bell say?"
MARKUP: Final = "<script>window.harmed = 1</script><img src=x onerror='window.harmed = 1'> <b>bold</b> &amp"
AXE: Final = ("serious", "critical")


def page_config(folder: Path) -> dict[str, Any]:
    """A council whose members agree, dissent, disagree, are silent or say markup, as the question wants; one host each, the
    last slow. Its store is in `folder`."""
    said = {m: {ASKED: "Ada Trell", "the museum": "four crowns", HOSTILE: MARKUP, MUTE: "ding"} for m in MEMBERS}
    said["law"] |= {ASKED: "Bo Lind"}
    said["finance"] |= {MUTE: ""}
    for member, hour in zip(MEMBERS, ("noon", "dawn", "noon", "midnight", "dusk"), strict=True):
        said[member] |= {FERRY: f"at {hour}"}
    tree = scripted_config(said, hosts=len(MEMBERS), name="page", delays_s={"physics": 0.3, "computing": 0.9})
    return tree | {
        "retrieval": {"store": {"path": str(folder / "store")}}, "routing": {"temperature": 100.0},
        "aggregator": {"min_agreement": 0.7, "quorum": 3},
    }  # fmt: skip


def add_documents(address: str) -> None:
    """The documents of that council, by HTTP."""
    texts = {
        "light.md": f"# Varn light\n\n{LIGHT}\n",
        "ferry.txt": "The ferry to Oskel leaves at noon on weekdays, and at dusk on the days of the fair.",
        "hull.txt": f"What is painted on the hull: {MARKUP} and the name of the harbour.",
    }
    files = [("files", (name, text.encode())) for name, text in texts.items()]
    httpx.post(f"{address}/v1/documents", files=files, timeout=60).raise_for_status()


def open_browser(playwright: Playwright) -> Browser:
    """A Chromium. Skips, or fails where one is required, if none starts."""
    from playwright.sync_api import Error

    found = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
    try:
        return playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
    except Error as exc:
        reason = f"no browser starts: {str(exc).splitlines()[0]}; install chromium, or run `playwright install chromium`"
        if REQUIRED:
            pytest.fail(reason)
        pytest.skip(reason)


def watched(page: Page) -> list[str]:
    """Errors of the page's scripts, and what its content security policy refused, as they come."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type in ("error", "warning") else None)
    return faults


def ask(page: Page, question: str) -> None:
    """Ask by the keyboard, and wait for the verdict."""
    page.fill("#question", question)
    page.press("#question", "Enter")
    answered(page)


def answered(page: Page) -> None:
    """Wait until there is a verdict, and what moved stands still."""
    page.wait_for_selector("#verdict[aria-busy=false]")
    moving = "a.playState === 'running' && a.effect.getTiming().iterations !== Infinity"
    page.wait_for_function(f"!document.getAnimations().some((a) => {moving})")


def unfold(page: Page) -> None:
    """Open all that can be opened."""
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")


def worst(page: Page) -> list[str]:
    """Violations of accessibility that axe calls serious or critical."""
    from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]

    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {[n['html'][:120] for n in v['nodes']]}" for v in found if v["impact"] in AXE]
