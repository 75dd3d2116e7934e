"""HTML as Markdown, without what its reader doesn't see."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from council.errors import DocumentError
from council.retrieval.readers.document import Document, Skipped, make_document, missing, shown
from council.retrieval.readers.encoding import decode
from council.retrieval.readers.markdown import code, heading, paragraph

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

MOST_TAGS: Final = 1_000_000
"""Half a kilobyte of memory each, and more."""
DECLARED: Final = re.compile(rb"<(?:meta\b[^>]{0,200}?charset|\?xml\b[^>]{0,200}?encoding)\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
UNREAD: Final = {
    "script", "style", "template", "noscript", "noembed", "noframes", "iframe", "object", "embed", "applet", "svg", "math",
    "canvas", "audio", "video", "map", "nav", "select", "datalist", "button", "input", "textarea", "head", "title", "dialog",
}  # fmt: skip
MARGIN: Final = {"header", "footer"}
BODY: Final = {"article", "main", "section"}
"""A header within one of these is the text's own."""
ROLES: Final = {"navigation", "banner", "contentinfo", "search", "menu", "menubar"}
HIDDEN: Final = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|(?:opacity|font-size)\s*:\s*0*\.?0+(?![.\d])", re.IGNORECASE
)
HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
INLINE: Final = {
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i", "img", "ins", "kbd",
    "label", "mark", "q", "rp", "rt", "ruby", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u",
    "var", "wbr", "td", "th",
}  # fmt: skip
AUTHORS: Final = ("author", "article:author", "dc.creator", "dcterms.creator", "citation_author")
DATES: Final = ("date", "article:published_time", "dc.date", "dcterms.date", "dcterms.created", "citation_publication_date")
LICENCES: Final = ("license", "licence", "dcterms.license", "dc.rights", "dcterms.rights")


def read_html(path: Path, data: bytes, skipped: list[Skipped]) -> Iterator[Document]:
    """One document; its title is that of the page, else its first heading, else the file's name."""
    try:
        import bs4
    except ImportError as exc:
        raise missing("HTML files", "beautifulsoup4") from exc
    declared = DECLARED.search(data, 0, 4096)
    text = decode(data, declared.group(1).decode() if declared else None)
    if text.count("<") > MOST_TAGS:
        raise DocumentError(f"it holds more than {MOST_TAGS} tags")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # at XHTML, and at text that looks like an address
        try:
            # lxml: the standard library's parser takes quadratic time over a file of "<a <a <a".
            soup = bs4.BeautifulSoup(text, "lxml")
        except bs4.exceptions.FeatureNotFound as exc:
            raise missing("HTML files", "lxml") from exc
    writer = _Writer()
    writer.write(soup)
    named = soup.find("title")
    title = (named.get_text() if named else "").strip() or writer.first_heading or shown(path.stem)
    yield make_document(shown(path), title, "\n\n".join(writer.blocks), _details(soup), markdown=True)


def _details(soup: BeautifulSoup) -> dict[str, str]:
    """The author, date, licence and language that the page names; blank where it doesn't."""
    said: dict[str, str] = {}
    for tag in soup.find_all("meta"):
        said.setdefault(str(tag.get("name") or tag.get("property") or "").lower(), str(tag.get("content") or ""))
    link = soup.find(["link", "a"], rel="license", href=True)
    root = soup.find("html")
    return {
        "author": next((said[name] for name in AUTHORS if said.get(name)), ""),
        "date": next((said[name] for name in DATES if said.get(name)), ""),
        "licence": next((said[name] for name in LICENCES if said.get(name)), "") or (str(link["href"]) if link else ""),
        "language": str(root.get("lang") or root.get("xml:lang") or "") if root else "",
    }


def _ends_line(tag: Tag) -> bool:
    """Whether text before and after is apart; a paragraph alone in its cell stays in the line of the row."""
    if tag.name in ("p", "div") and tag.parent is not None and tag.parent.name in ("td", "th"):
        return tag.find_next_sibling(True) is not None or tag.find_previous_sibling(True) is not None
    return tag.name not in INLINE and tag.name != "br"


class _Writer:
    """Gathers blocks of Markdown. Goes down the tree by a stack: a page may nest deeper than Python calls."""

    def __init__(self) -> None:
        self.blocks: list[str] = []
        self.first_heading = ""
        self._line: list[str] = []
        self._verbatim = 0
        self._bodies = 0

    def write(self, root: Tag) -> None:
        """Append the blocks of all that is under `root`."""
        from bs4 import Tag

        stack = [(root, iter(root.contents))]
        while stack:
            tag, children = stack[-1]
            for child in children:
                if isinstance(child, Tag):
                    if self._is_read(child):
                        self._open(child)
                        stack.append((child, iter(child.contents)))
                        break
                elif type(child).__name__ in ("NavigableString", "CData"):  # its other kinds are comments and declarations
                    self._text(str(child))
            else:
                stack.pop()
                self._close(tag)

    def _is_read(self, tag: Tag) -> bool:
        if tag.name in ("html", "body"):
            return True  # some are hidden until a script has run
        if tag.name in UNREAD or tag.has_attr("hidden") or str(tag.get("aria-hidden", "")).lower() == "true":
            return False
        if str(tag.get("role", "")).lower() in ROLES or (tag.name in MARGIN and not self._bodies):
            return False
        return not HIDDEN.search(re.sub(r"/\*.*?\*/", "", str(tag.get("style", ""))))

    def _open(self, tag: Tag) -> None:
        if tag.name == "br":
            self._line.append("\n")
        elif _ends_line(tag):
            self._flush()
            self._line += ["- "] if tag.name == "li" else []
        self._verbatim += tag.name == "pre"
        self._bodies += tag.name in BODY

    def _close(self, tag: Tag) -> None:
        if tag.name in ("td", "th"):
            self._line.append(" | ")
        elif tag.name in HEADINGS:
            text = " ".join("".join(self._line).split()).removeprefix("- ")
            self.first_heading = self.first_heading or text
            self._flush(heading(HEADINGS[tag.name], text))
        elif tag.name == "pre":
            self._flush(code("".join(self._line)))
        elif _ends_line(tag):
            self._flush()
        if tag.name == "li":
            self._line = []  # a bullet with nothing after it
        self._verbatim -= tag.name == "pre"
        self._bodies -= tag.name in BODY

    def _text(self, text: str) -> None:
        self._line.append(text if self._verbatim else re.sub(r"\s", " ", text))

    def _flush(self, block: str | None = None) -> None:
        """End a block: of a row, without the bar after its last cell; a bullet alone waits for its text."""
        text = paragraph("".join(self._line)) if block is None else block
        if text == "-" and block is None:
            return
        text = text.removesuffix(" |") if block is None else text
        if text.strip(" |\n"):
            self.blocks.append(text)
        self._line = []
