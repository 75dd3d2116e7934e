"""The page's modules by themselves, in a real browser: what holds for any input."""

from __future__ import annotations

import functools
import http.server
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.web.browser import REQUIRED, open_browser

if not REQUIRED:
    pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")

from playwright.sync_api import Page, sync_playwright

WEB = Path(__file__).parent.parent.parent / "council" / "web"
plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
one_line = st.text(st.characters(exclude_categories=["Cs", "Cc"]))
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page that has the modules, by their names, in `modules`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(WEB)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with sync_playwright() as playwright:
        browser = open_browser(playwright)
        page = browser.new_page()
        names = ["stream", "mark", "share", "shape", "history", "dom", "vote"]
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.evaluate("async names => { window.modules = {}; for (const n of names) window.modules[n] = await import(`/${n}.js`) }", names)
        yield page
        browser.close()
    server.shutdown()
    server.server_close()
    thread.join()


PARSE = """pieces => { const p = new modules.stream.EventParser(); return pieces.flatMap(piece => p.push(piece)) }"""


@many
@given(
    sent=st.lists(st.tuples(st.sampled_from(["routed", "opinion", "verdict"]), one_line), max_size=5),
    end=st.sampled_from(["\n", "\r\n", "\r"]), cuts=st.lists(st.integers(0, 400), max_size=8),
)  # fmt: skip
def test_events_are_the_same_however_they_are_cut(page: Page, sent: list[tuple[str, str]], end: str, cuts: list[int]) -> None:
    text = "".join(f": ping{end}{end}event: {name}{end}data: {data}{end}{end}" for name, data in sent)
    places = [0, *sorted(min(c, len(text)) for c in cuts), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(places)] + ["\n"]
    assert page.evaluate(PARSE, pieces) == [{"event": name, "data": data} for name, data in sent]


def test_an_event_may_have_several_lines_and_need_no_name(page: Page) -> None:
    assert page.evaluate(PARSE, ["\ufeffdata: a\ndata:b\nid: 7\n\nevent: x\n\n"]) == [{"event": "message", "data": "a\nb"}]


@many
@given(text=plain, phrases=st.lists(plain, max_size=4))
def test_marking_keeps_every_character(page: Page, text: str, phrases: list[str]) -> None:
    phrases += [text[1:9], text.upper()]
    joined = page.evaluate(
        "([text, phrases]) => { const d = document.createElement('div');"
        " d.append(...modules.mark.marked(text, phrases.map(p => ({text: p, colour: 0}))));"
        " return [d.textContent, d.querySelectorAll(':not(mark)').length] }",
        [text, phrases],
    )
    assert joined == [text, 0]


@pytest.mark.parametrize(
    ("text", "phrase", "found"),
    [
        ("Ada Trell keeps it; ADA\nTRELL does.", "Ada Trell.", ["Ada Trell", "ADA\nTRELL"]),
        ("In 1911, not 19110.", "1911", ["1911"]),
        ("It costs $4.50 (+tax).", "$4.50 (+tax)", ["$4.50 (+tax)"]),
        ("Über alles, überall", "über", ["Über"]),
        ("nothing", "not known", []),
    ],
)
def test_answers_are_found_word_for_word(page: Page, text: str, phrase: str, found: list[str]) -> None:
    marks = page.evaluate(
        "([text, phrase]) => modules.mark.marked(text, [{text: phrase, colour: 1}])"
        ".filter(node => node.tagName === 'MARK').map(node => node.textContent)",
        [text, phrase],
    )
    assert marks == found


ENTRY = {"asked_at": 1, "min_agreement": 0.8, "question": "", "verdict": {"status": "answered", "answer": "", "reason": "r"}}


@many
@given(question=plain, answer=plain)
def test_a_link_gives_back_what_was_packed(page: Page, question: str, answer: str) -> None:
    entry = ENTRY | {"question": question, "verdict": {"status": "answered", "answer": answer, "reason": "r"}}
    link, got = page.evaluate("async e => { const l = await modules.share.pack(e); return [l, await modules.share.unpack(l)] }", entry)
    assert (got["question"], got["verdict"]["answer"], got["verdict"]["groups"]) == (question, answer, [])
    assert link.isascii() and not set(link.removeprefix("#verdict=")) & set('+/= "<>#')


def test_a_link_that_unpacks_to_too_much_is_refused(page: Page) -> None:
    told = page.evaluate(
        "async () => { const l = await modules.share.pack({question: 'x'.repeat(5_000_000), verdict: {}});"
        " try { await modules.share.unpack(l) } catch (e) { return [l.length, e.message] } }"
    )
    assert told[0] < 20_000
    assert told[1] == "too large"


FIELDS = (
    "status", "answer", "groups", "members", "support", "opinions", "error", "sources", "provenance", "origin", "text", "grounding",
    "passages", "details", "timings_s", "warnings", "confidence", "value", "rounds", "kind", "claims", "unasked", "verdict",
)  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6),
    max_leaves=25,
)


@many
@given(value=json_values, status=st.sampled_from(["answered", "abstained", "failed"]))
def test_any_json_is_read_as_a_verdict_or_refused(page: Page, value: Any, status: str) -> None:
    verdict = (value if isinstance(value, dict) else {"groups": value, "opinions": value, "sources": value}) | {"status": status}
    read = page.evaluate("v => modules.shape.entry({question: 1, verdict: v})", verdict)["verdict"]
    assert all(isinstance(g["answer"], str) and 0 <= g["support"] <= 1 for g in read["groups"])
    assert all(s["provenance"]["origin"] in ("human", "machine", "council", "unknown") for s in read["sources"])
    assert all(isinstance(w, str) for w in read["warnings"])
    refused = page.evaluate("v => { try { modules.shape.entry(v) } catch (e) { return e.name } }", value)
    assert refused in (None, "TypeError")


def test_history_is_bounded(page: Page) -> None:
    kept = page.evaluate(
        "() => { localStorage.clear(); const v = {status: 'answered', answer: 'a', reason: 'r'};"
        " for (let i = 0; i < 40; i++) modules.history.remember({question: `q${i}`, asked_at: i, verdict: v});"
        " return modules.history.entries().map(e => e.question) }"
    )
    assert kept == [f"q{i}" for i in range(39, 9, -1)]
    large = page.evaluate(
        "() => { const v = {status: 'answered', answer: 'x'.repeat(90_000), reason: 'r'};"
        " for (let i = 0; i < 30; i++) modules.history.remember({question: `l${i}`, asked_at: i, verdict: v});"
        " return [modules.history.entries().length, JSON.stringify(localStorage).length] }"
    )
    assert large[0] < 30
    assert large[1] < 2_100_000


def test_groups_keep_their_colours_while_they_change_places(page: Page) -> None:
    told = page.evaluate(
        "() => { modules.vote.forgetColours(); const g = (answer, ...members) => ({answer, members, support: 0});"
        " const a = modules.vote.colours([g('x', 'm1'), g('not known', 'm2')]);"
        " const b = modules.vote.colours([g('y', 'm3', 'm4'), g('x', 'm1'), g('not known', 'm2')]);"
        " return [a.at(0), a.at(1), b.at(0), b.at(1), b.of('m4')] }"
    )
    assert told == [0, "none", 1, 0, 1]


def test_too_little_agreement_never_looks_like_enough(page: Page) -> None:
    shown = page.evaluate("() => [[0.7996, 0.8], [0.8, 0.8], [0.8172, 0.8], [0.5, null]].map(([a, b]) => modules.vote.nearly(a, b))")
    assert shown == ["79.96%", "80%", "82%", "50%"]
