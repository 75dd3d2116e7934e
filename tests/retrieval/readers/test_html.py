"""HTML: what its reader sees is read, as Markdown, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from council.retrieval.documents import Document, read_documents
from council.retrieval.readers import html
from council.retrieval.readers.html import read_html
from council.retrieval.splitting import split
from tests.retrieval.readers.made import named, write


def read(text: str | bytes) -> Document:
    (document,) = read_html(Path("page.html"), text.encode() if isinstance(text, str) else text, [])
    return document


def test_a_page_becomes_markdown() -> None:
    document = read("""<!DOCTYPE html><html lang="en"><head><title>Gold &amp; silver</title>
        <meta name="Author" content="A. Person"><meta property="article:published_time" content="2020-01-02">
        <link rel="license" href="https://example.org/by"></head><body>
        <header><h1>The site</h1></header><nav>Home</nav>
        <article><header><h1>Gold</h1></header><p>Gold is a <b>metal</b>,<br>of 79&nbsp;protons &lt;Au&gt;.</p>
        <h2>Uses <i>of</i> it</h2><ul><li>Coins<li><p>Rings</p></ul>
        <table><tr><th>Name</th><th>Number</th></tr><tr><td><p>Gold</p></td><td>79</td></tr></table>
        <pre># code
  x = 1</pre></article><footer>Imprint</footer></body></html>""")
    assert document.text == (
        "# Gold\n\nGold is a metal,\nof 79 protons <Au>.\n\n## Uses of it\n\n- Coins\n\n- Rings\n\nName | Number\n\nGold | 79"
        "\n\n    # code\n      x = 1"
    )
    assert (document.title, document.markdown) == ("Gold & silver", True)
    assert named(document) == {
        "author": "A. Person", "date": "2020-01-02", "licence": "https://example.org/by", "language": "en",
    }  # fmt: skip
    assert [piece.title for piece in split(document.text, document.title, 12, 0, lambda text: len(text.split()), True)][:2] == [
        "Gold & silver: Gold",
        "Gold & silver: Gold: Uses of it",
    ]


@pytest.mark.parametrize(
    "hidden",
    [
        "<script>EVIL</script>", "<style>EVIL</style>", "<template>EVIL</template>", "<noscript>EVIL</noscript>", "<!-- EVIL -->",
        "<p hidden>EVIL</p>", "<div aria-hidden='true'><p>EVIL</p></div>", "<p style='color:red; DISPLAY : none'>EVIL</p>",
        "<p style='display:/**/none !important'>EVIL</p>", "<span style='visibility:hidden'>EVIL</span>",
        "<i style='font-size:0px'>EVIL</i>", "<i style='opacity: 0.0'>EVIL</i>", "<nav>EVIL</nav>", "<div role=navigation>EVIL</div>",
        "<textarea>EVIL</textarea>", "<svg><text>EVIL</text></svg>", "<iframe srcdoc='EVIL'>EVIL</iframe>", "<?php EVIL ?>",
        "<input type=hidden value=EVIL>", "<img alt='' title=EVIL>", "<select><option>EVIL</select>", "<![CDATA[ EVIL ]]>",
    ],
)  # fmt: skip
def test_what_is_not_seen_is_not_read(hidden: str) -> None:
    document = read(f"<body><p>before{hidden}</p>{hidden}<p>after</p></body>")
    assert document.text.split() == ["before", "after"]
    assert "EVIL" not in document.model_dump_json()


def test_what_only_looks_hidden_is_read() -> None:
    text = read("<body style='opacity:0'><p style='opacity:0.5;font-size:0.8em' aria-hidden=false>seen</p></body>").text
    assert text == "seen"


def test_text_is_never_a_heading_by_chance() -> None:
    document = read("<p># a</p><p>x<br>## b</p><p>```</p><h1>c</h1><p>d</p>")
    assert document.text == "\\# a\n\nx\n\\## b\n\n\\```\n\n# c\n\nd"
    assert document.title == "c"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1251"])
def test_the_declared_encoding_is_a_hint(encoding: str) -> None:
    page = '<?xml version="1.0" encoding="windows-1251"?><html><head><meta charset="windows-1251"></head><body>мир</body></html>'
    assert read(page.encode(encoding)).text == "мир"


def test_references_to_no_character_are_replaced() -> None:
    assert read("<p>a&#xD800;b&#0;c&#x1;&eacute;</p>").text.encode().endswith("é".encode())


def test_a_declared_encoding_that_is_none_is_passed_over() -> None:
    assert read("<meta charset=unicode_escape><p>Ein schöner großer Bär trägt über die Brücke Äpfel".encode("latin-1")).text.startswith(
        "Ein sch"
    )


@pytest.mark.parametrize(
    "text", ["<div>" * 50_000 + "deep", "<a " * 50_000 + ">deep", "<!--" * 50_000 + "-->deep", "<p>deep" + "<?" * 50_000]
)
def test_hostile_markup_ends_soon(tmp_path: Path, text: str) -> None:
    reading = read_documents([write(tmp_path / "a.html", text)])
    assert len(reading.documents) + len(reading.skipped) == 1


def test_a_flood_of_tags_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "MOST_TAGS", 10)
    path = write(tmp_path / "a.html", "<p>x" * 11)
    assert read_documents([path]).skipped == ((str(path), "it holds more than 10 tags"),)


def test_a_page_without_text_and_one_without_a_library_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.html", "<script>x</script>")
    assert read_documents([path]).skipped == ((str(path), "it holds no text"),)
    monkeypatch.setitem(sys.modules, "bs4", None)
    assert "HTML files need the package beautifulsoup4: pip install" in read_documents([path]).skipped[0][1]


@given(st.text(st.sampled_from("<>/!-#`|&;=\"' abphtdlirescz\n")))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    path = Path("a.html")
    try:
        documents = list(read_html(path, f"<p>kept</p>{text}".encode(), []))
    except Exception as exc:
        raise AssertionError(text) from exc
    assert documents[0].text.startswith("kept")
