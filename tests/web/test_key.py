"""The page where the service asks for keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from council.keys import KeyRing
from tests.conftest import MEMBERS
from tests.serving import serving
from tests.web.browser import ASKED, REQUIRED, ask, open_browser, page_config, worst

if not REQUIRED:
    pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    pytest.importorskip("axe_playwright_python", reason="the package axe-playwright-python is not installed")

from playwright.sync_api import Browser, Page, expect, sync_playwright


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "keys.json"


@pytest.fixture(scope="module")
def writer(keys: Path) -> str:
    return KeyRing(keys).add("writer", tenant="harbour")[0]


@pytest.fixture(scope="module")
def reader(keys: Path) -> str:
    return KeyRing(keys).add("reader", tenant="harbour", documents="read")[0]


@pytest.fixture(scope="module")
def url(ray_session: None, keys: Path, writer: str, reader: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    tree = page_config(tmp_path_factory.mktemp("keyed")) | {"service": {"keys": str(keys)}}
    with serving(tree, asks_for_keys=True) as address:
        yield f"{address}/"


@pytest.fixture(scope="module")
def browser(url: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = open_browser(playwright)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.goto(url)
    yield page
    context.close()


def enter(page: Page, key: str) -> None:
    expect(page.locator("#key")).to_be_focused()
    page.keyboard.type(key)
    page.keyboard.press("Enter")


def test_a_key_is_asked_for_and_kept_in_the_tab_alone(page: Page, writer: str) -> None:
    assert worst(page) == []
    enter(page, "wrong")
    expect(page.locator("dialog")).to_contain_text("The key was not accepted.")
    enter(page, writer)
    expect(page.locator(".member")).to_have_count(len(MEMBERS))
    page.reload()
    expect(page.locator(".member")).to_have_count(len(MEMBERS))
    ask(page, ASKED)
    expect(page.locator(".the-answer")).to_have_text("Ada Trell")
    kept = page.evaluate("[JSON.stringify(sessionStorage), JSON.stringify(localStorage), document.cookie, location.href]")
    assert writer in kept[0]
    assert all(writer not in place for place in kept[1:])
    assert page.evaluate("Object.keys(localStorage)") == ["council.history.harbour"]
    page.click("#forget-key")
    expect(page.locator("#key")).to_be_focused()
    assert page.evaluate("sessionStorage.getItem('council.key')") is None


def test_without_a_key_nothing_is_shown_and_one_sentence_says_why(page: Page) -> None:
    expect(page.locator("#key")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#fault")).to_have_text("This council asks for a key. Reload the page to enter one.")
    expect(page.locator(".member")).to_have_count(0)


def test_who_may_not_change_documents_is_offered_no_way_to(page: Page, reader: str) -> None:
    enter(page, reader)
    expect(page.locator(".member")).to_have_count(len(MEMBERS))
    page.click("#tab-documents")
    expect(page.locator("#panel-documents .hero")).to_contain_text("With this key they can be read, not changed.")
    expect(page.locator("#files")).to_have_count(0)
