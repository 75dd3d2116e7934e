"""The page in a real browser, on a real service whose members answer from a script."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MEMBERS
from tests.serving import serving
from tests.web.browser import (
    ASKED,
    FERRY,
    HOSTILE,
    LIGHT,
    MARKUP,
    MUTE,
    REQUIRED,
    add_documents,
    answered,
    ask,
    open_browser,
    page_config,
    unfold,
    watched,
    worst,
)

if not REQUIRED:
    pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    pytest.importorskip("axe_playwright_python", reason="the package axe-playwright-python is not installed")

from playwright.sync_api import Browser, BrowserContext, FilePayload, Page, ViewportSize, expect, sync_playwright

PHONE: ViewportSize = {"width": 360, "height": 740}
MUSEUM: FilePayload = {
    "name": "museum.md",
    "mimeType": "text/markdown",
    "buffer": b"# Museum\n\nA visit to the museum of Oskel costs four crowns.",
}
SOUND: FilePayload = {"name": "sound.mp3", "mimeType": "audio/mpeg", "buffer": b"\x00\x01"}


@pytest.fixture(scope="module")
def url(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(page_config(tmp_path_factory.mktemp("page"))) as address:
        add_documents(address)
        yield f"{address}/"


@pytest.fixture(scope="module")
def browser(url: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = open_browser(playwright)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context
    context.close()


def visit(context: BrowserContext, url: str) -> Page:
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.goto(url)
    expect(page.locator(".member")).to_have_count(len(MEMBERS))
    return page


@pytest.fixture
def page(context: BrowserContext, url: str) -> Iterator[Page]:
    """The page, which must have no fault of its own by the end."""
    context.on("page", lambda page: faults.append(watched(page)))
    faults: list[list[str]] = []
    yield visit(context, url)
    assert [fault for some in faults for fault in some] == []


def card(page: Page, member: str) -> Any:
    return page.locator(f'.member[data-name="{member}"]')


# --- a question ----------------------------------------------------------------------------------------------------


def test_opinions_arrive_while_the_council_works(page: Page) -> None:
    page.fill("#question", ASKED)
    page.press("#question", "Enter")
    expect(card(page, "medicine").locator(".answer")).to_have_text("Ada Trell")
    assert page.get_attribute("#verdict", "aria-busy") == "true"
    expect(card(page, "computing")).to_have_attribute("data-state", "reading")
    card(page, "computing").evaluate("e => { e.reading = true }")
    expect(card(page, "physics")).to_have_attribute("data-state", "answered")
    assert card(page, "computing").evaluate("e => e.reading === true")  # what did not change was not made again
    expect(page.locator("#live-vote .group .answer").first).to_have_text("Ada Trell")
    expect(page.locator("#sources .source-title").first).to_have_text("Varn light")
    answered(page)
    expect(page.locator(".the-answer")).to_have_text("Ada Trell")
    expect(card(page, "computing")).to_have_attribute("data-state", "answered")
    assert "weight" in card(page, "computing").locator(".weight").inner_text()
    expect(page.locator("#spoken")).to_contain_text("The council answers: Ada Trell.")


def test_the_vote_shows_agreement_threshold_and_dissent(page: Page) -> None:
    ask(page, ASKED)
    meter = page.locator('.verdict [role="meter"]')
    assert 77 <= int(meter.get_attribute("aria-valuenow") or 0) <= 83
    assert "where 70% is asked" in (meter.get_attribute("aria-valuetext") or "")
    assert page.locator(".asked-for").evaluate("e => e.style.left") == "70%"
    assert page.locator(".dissent .answer").all_inner_texts() == ["Bo Lind"]
    assert page.locator(".dissent .hint").all_inner_texts() == ["law"]
    colours = {name: card(page, name).get_attribute("data-colour") for name in MEMBERS}
    assert colours["law"] != colours["medicine"] == colours["computing"]
    assert "confidence" not in page.locator("#verdict").inner_text().lower()


def test_a_source_shows_its_passage_with_the_answer_marked(page: Page) -> None:
    ask(page, ASKED)
    first = page.locator("#sources .source").first
    assert first.locator("blockquote").inner_text() == LIGHT
    assert first.locator("mark").all_inner_texts() == ["Ada Trell"]
    expect(first.locator(".origin")).to_have_text("origin unknown")
    assert "light.md" in first.locator(".facts").inner_text()
    first.locator("summary").click()
    expect(first.locator("blockquote")).to_be_hidden()


def test_disagreement_is_shown_as_an_abstention(page: Page) -> None:
    ask(page, FERRY)
    assert page.get_attribute("#verdict", "data-status") == "abstained"
    expect(page.locator(".no-answer")).to_have_text("The council does not answer.")
    expect(page.locator(".the-answer")).to_have_count(0)
    assert "0.70" in page.locator(".reason").inner_text()
    assert set(page.locator(".group .answer").all_inner_texts()) == {"at noon", "at dawn", "at midnight", "at dusk"}
    expect(page.locator("#sources-title")).to_have_text("What the members read")


def test_what_the_passages_do_not_tell_is_not_known(page: Page) -> None:
    ask(page, "What does the castle weigh?")
    assert page.get_attribute("#verdict", "data-status") == "abstained"
    assert {card(page, m).get_attribute("data-state") for m in MEMBERS} == {"unknown"}


def test_a_member_that_fails_is_shown_and_has_no_vote(page: Page) -> None:
    ask(page, MUTE)
    expect(card(page, "finance")).to_have_attribute("data-state", "failed")
    expect(page.locator(".silent")).to_contain_text("finance, no vote: no answer could be read")
    assert "finance" not in page.locator(".groups").inner_text()


def test_options_are_sent_with_the_question(page: Page) -> None:
    page.click("#options-toggle")
    page.select_option("#policy", "escalate")
    page.uncheck("#retrieval")
    page.uncheck('input[name="specialist"][value="law"]')
    page.check("#check")
    assert page.locator("#chosen li").all_inner_texts() == [
        "escalate", "only medicine, finance, physics and computing", "no documents", "check",
    ]  # fmt: skip
    with page.expect_request("**/v1/council") as asked:
        ask(page, ASKED)
    assert asked.value.post_data_json == {
        "question": ASKED, "policy": "escalate", "specialists": ["medicine", "finance", "physics", "computing"], "retrieval": False,
        "check": True, "stream": True,
    }  # fmt: skip
    expect(page.locator("#sources .empty")).to_be_visible()
    expect(card(page, "law")).to_have_count(0)


def test_what_an_agreement_rests_on_is_said(page: Page) -> None:
    page.click("#options-toggle")
    page.check("#check")
    ask(page, ASKED)
    expect(page.locator(".grounding")).to_contain_text("It rests on the members themselves")
    assert card(page, "medicine").locator(".answer").inner_text() == "Ada Trell"


def test_a_verdict_is_followed_up(page: Page) -> None:
    ask(page, ASKED)
    page.click("#follow-up")
    expect(page.locator("#follows")).to_contain_text(ASKED)
    with page.expect_request("**/v1/council") as asked:
        ask(page, "And since when?")
    sent = asked.value.post_data_json
    assert sent is not None
    assert sent["history"] == [{"role": "user", "content": ASKED}, {"role": "assistant", "content": "Ada Trell"}]
    expect(page.locator("#follows")).to_be_hidden()


def test_a_question_is_cancelled_by_escape(page: Page) -> None:
    page.fill("#question", ASKED)
    page.press("#question", "Enter")
    expect(card(page, "computing")).to_have_attribute("data-state", "reading")
    page.keyboard.press("Escape")
    expect(page.locator(".no-answer")).to_have_text("The question was cancelled.")
    expect(card(page, "computing")).to_have_attribute("data-state", "stopped")
    expect(page.locator("#send")).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "question"
    ask(page, ASKED)
    expect(page.locator(".the-answer")).to_have_text("Ada Trell")


def test_timings_and_rounds_are_told(page: Page) -> None:
    ask(page, ASKED)
    page.click(".workings summary")
    told = page.locator(".workings-body").inner_text()
    assert re.search(r"generate \d+(\.\d+)? m?s", told)
    assert "medicine, law, finance, physics and computing asked" in told


# --- documents -----------------------------------------------------------------------------------------------------


def test_a_document_is_added_asked_about_and_removed(page: Page) -> None:
    page.click("#tab-documents")
    expect(page.locator('.documents > li:has-text("light.md")')).to_have_count(1)
    page.set_input_files("#files", [MUSEUM, SOUND])
    expect(page.locator(".report .good")).to_contain_text("1 document read, 1 new passage")
    expect(page.locator(".report .warning")).to_contain_text("sound.mp3")
    added = page.locator('.documents > li:has-text("museum.md")')
    added.locator("summary").click()
    expect(added.locator("blockquote")).to_have_text("A visit to the museum of Oskel costs four crowns.")

    page.click("#tab-ask")
    ask(page, "What does a visit to the museum cost?")
    expect(page.locator(".the-answer")).to_have_text("four crowns")
    expect(page.locator("#sources mark").first).to_have_text("four crowns")

    page.click("#tab-documents")
    added.get_by_role("button", name="Remove").click()
    page.click("dialog >> text=Cancel")
    expect(added).to_have_count(1)
    added.get_by_role("button", name="Remove").click()
    page.locator("dialog").get_by_role("button", name="Remove").click()
    expect(added).to_have_count(0)


def test_files_are_dropped(page: Page) -> None:
    page.click("#tab-documents")
    dropped = page.evaluate_handle(
        "() => { const d = new DataTransfer(); d.items.add(new File(['The tower of Oskel is tall.'], 'tower.txt')); return d; }"
    )
    page.dispatch_event(".drop", "drop", {"dataTransfer": dropped})
    expect(page.locator('.documents > li:has-text("tower.txt")')).to_have_count(1)


def test_an_upload_that_is_too_large_is_refused_before_it_is_sent(page: Page, tmp_path: Path) -> None:
    large = tmp_path / "large.txt"
    with large.open("wb") as file:
        file.truncate(40 << 20)
    page.click("#tab-documents")
    page.set_input_files("#files", large)
    expect(page.locator(".report .fault")).to_have_text("1 file of 40 MiB are more than the 32 MiB that the service takes at once.")


# --- what is kept and shared ---------------------------------------------------------------------------------------


def test_a_shared_link_shows_the_verdict_as_unverified(page: Page, context: BrowserContext) -> None:
    ask(page, ASKED)
    page.click("#share-link")
    expect(page.locator("#share-note")).to_contain_text("nothing is stored on the server")
    link = page.input_value("#link")
    with context.expect_page() as opened:
        page.evaluate("link => { window.open(link) }", link)
    other = opened.value
    expect(other.locator(".shared")).to_contain_text("Shared and unverified")
    expect(other.locator(".the-answer")).to_have_text("Ada Trell")
    expect(other.locator("#asked")).to_have_text(ASKED)
    assert other.locator("#sources blockquote").first.inner_text() == LIGHT
    assert other.locator(".dissent .answer").all_inner_texts() == ["Bo Lind"]
    other.click("text=Ask this council")
    answered(other)
    expect(other.locator(".shared")).to_have_count(0)
    assert "#" not in other.url


def test_a_link_that_was_cut_off_is_said_to_be(page: Page, url: str) -> None:
    page.goto(f"{url}#verdict=q1YqLE0tLlGyUqp")
    page.reload()
    expect(page.locator("#fault")).to_have_text("The link holds no verdict that can be read. It may have been cut off on its way.")


def test_the_json_is_saved(page: Page) -> None:
    ask(page, ASKED)
    with page.expect_download() as saved:
        page.click("#save-json")
    told = json.loads(Path(saved.value.path()).read_text())
    assert (told["question"], told["verdict"]["answer"], told["min_agreement"]) == (ASKED, "Ada Trell", 0.7)


def test_history_is_kept_shown_again_and_cleared(page: Page) -> None:
    ask(page, ASKED)
    ask(page, FERRY)
    page.reload()
    expect(page.locator(".past-question")).to_have_text([FERRY, ASKED])
    page.locator(".history button").nth(1).click()
    expect(page.locator(".the-answer")).to_have_text("Ada Trell")
    page.click("#clear-history")
    page.locator("dialog").get_by_role("button", name="Clear").click()
    expect(page.locator("#history")).to_be_hidden()
    assert page.evaluate("localStorage.length") == 0


# --- whoever uses it, on whatever ----------------------------------------------------------------------------------


def test_the_keyboard_is_enough(page: Page) -> None:
    assert page.evaluate("document.activeElement.id") == "question"
    page.keyboard.type("Who keeps")
    page.keyboard.press("Shift+Enter")
    assert page.input_value("#question") == "Who keeps\n"
    page.keyboard.press("Control+a")
    page.keyboard.type(ASKED)
    page.keyboard.press("Enter")
    answered(page)
    source = page.locator("#sources summary").first
    for _ in range(30):
        page.keyboard.press("Tab")
        if source.evaluate("e => e === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.locator("#sources blockquote").first).to_be_hidden()
    page.focus("#tab-ask")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#panel-documents")).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "tab-documents"
    page.keyboard.press("ArrowRight")
    expect(page.locator("#panel-ask")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, url: str, scheme: Any) -> None:
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce")
    page = visit(context, url)
    page.click("#options-toggle")
    assert worst(page) == []
    for question in (ASKED, FERRY, MUTE):
        ask(page, question)
        unfold(page)
        assert worst(page) == []
    page.click("#tab-documents")
    page.locator(".document summary").first.click()
    expect(page.locator(".document blockquote").first).to_be_visible()
    assert worst(page) == []
    page.get_by_role("button", name="Remove").first.click()
    assert worst(page) == []
    context.close()


def test_dark_is_dark(browser: Browser, url: str) -> None:
    ground = {}
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        seen = visit(context, url).evaluate("getComputedStyle(document.documentElement).backgroundColor")
        ground[scheme] = sum(map(int, re.findall(r"\d+", seen)))
        context.close()
    assert ground["dark"] < 120 < 650 < ground["light"]


def test_a_phone_shows_it_all_without_scrolling_sideways(browser: Browser, url: str) -> None:
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    page = visit(context, url)
    wide = "document.documentElement.scrollWidth - innerWidth"
    assert page.evaluate(wide) <= 0
    for question in (ASKED, HOSTILE):
        ask(page, question)
        unfold(page)
        assert page.evaluate(wide) <= 0
    small = "[...document.querySelectorAll('button, summary, select')].filter(e => e.checkVisibility() && e.offsetHeight < 24).length"
    assert page.evaluate(small) == 0
    page.click("#tab-documents")
    expect(page.locator(".document").first).to_be_visible()
    assert page.evaluate(wide) <= 0
    context.close()


def test_nothing_moves_where_motion_is_not_wanted(browser: Browser, url: str) -> None:
    context = browser.new_context(reduced_motion="reduce")
    page = visit(context, url)
    page.fill("#question", ASKED)
    page.press("#question", "Enter")
    expect(card(page, "computing")).to_have_attribute("data-state", "reading")
    assert page.evaluate("document.getAnimations().length") == 0
    context.close()


# --- what it is given ----------------------------------------------------------------------------------------------


def test_markup_in_answers_and_documents_is_text(page: Page, context: BrowserContext) -> None:
    ask(page, HOSTILE)
    expect(page.locator(".the-answer")).to_have_text(MARKUP)
    assert MARKUP in page.locator("#sources blockquote").first.inner_text()
    expect(page.locator("#sources mark").first).to_have_text(MARKUP)
    page.fill("#question", f"{MARKUP} on the hull?")
    page.press("#question", "Enter")
    answered(page)
    expect(page.locator("#asked")).to_have_text(f"{MARKUP} on the hull?")
    page.click("#tab-documents")
    hostile: FilePayload = {"name": "<img src=x onerror=alert(1)>.md", "mimeType": "text/markdown", "buffer": f"# {MARKUP}\n\nx".encode()}
    page.set_input_files("#files", [hostile])
    expect(page.locator(".report .note").first).to_be_visible()
    assert page.evaluate("window.harmed") is None
    assert page.locator("main script, main img, main b").count() == 0


def test_nothing_is_loaded_from_elsewhere_nor_without_a_policy(context: BrowserContext, url: str) -> None:
    loaded: list[tuple[str, str]] = []
    context.on("response", lambda r: loaded.append((r.url, r.headers.get("content-security-policy", ""))))
    page = visit(context, url)
    ask(page, ASKED)
    assert all(address.startswith(url) for address, _ in loaded)
    assert all("default-src 'none'" in policy and "script-src 'self'" in policy for _, policy in loaded)


def test_a_service_that_is_gone_is_told_in_a_sentence(context: BrowserContext, url: str) -> None:
    page = visit(context, url)
    context.set_offline(True)
    page.fill("#question", ASKED)
    page.press("#question", "Enter")
    expect(page.locator("#fault")).to_have_text("The council can't be reached. Check that it is running, and try again.")
    context.set_offline(False)
    page.click("text=Ask again")
    answered(page)
    expect(page.locator("#fault")).to_be_hidden()
    expect(page.locator(".the-answer")).to_have_text("Ada Trell")


def test_an_empty_question_is_not_sent(page: Page) -> None:
    page.press("#question", "Enter")
    expect(page.locator("#fault")).to_have_text("Write a question first.")
