"""Pictures of the page, of what a running council says.

    python -m tests.web.screenshots http://127.0.0.1:8000 plots "How long is a MAC address?" "How far may the zone reach?"

The first question is one that it answers, the second one on which it abstains.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, sync_playwright

from tests.web.browser import ask, open_browser


def picture(
    browser: Browser, url: str, question: str, place: Path, width: int, height: int, scheme: Literal["light", "dark"] = "light"
) -> None:
    """The page with the verdict, in all its length, as a PNG."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector(".member")
    ask(page, question)
    page.screenshot(path=place, full_page=True)
    context.close()


def main(url: str, folder: str, answered: str, abstained: str) -> None:
    with sync_playwright() as playwright:
        browser = open_browser(playwright)
        picture(browser, url, answered, Path(folder, "page.png"), 1280, 900)
        picture(browser, url, abstained, Path(folder, "page-abstained.png"), 1280, 900, "dark")
        picture(browser, url, answered, Path(folder, "page-phone.png"), 360, 740)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
