"""DOCX as Markdown."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from council.errors import DocumentError
from council.retrieval.readers.document import MOST_BYTES, Document, Skipped, make_document, missing, shown
from council.retrieval.readers.markdown import heading, paragraph

if TYPE_CHECKING:
    from docx.document import Document as Docx

MOST_UNPACKED: Final = 4 * MOST_BYTES
"""Of all members: pictures are large, and read by nobody here."""
OLD: Final = b"\xd0\xcf\x11\xe0"
DOCTYPES: Final = tuple("<!DOCTYPE".encode(name) for name in ("utf-8", "utf-16-le", "utf-16-be"))
W: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
FALLBACK: Final = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
UNREAD: Final = (f"{W}moveFrom", f"{W}del", FALLBACK)
"""What was moved or struck out, and what stands in for a drawing that is there as well."""
SPACES: Final = {f"{W}tab": " ", f"{W}br": "\n", f"{W}cr": "\n", f"{W}noBreakHyphen": "-"}


def read_docx(path: Path, data: bytes, skipped: list[Skipped]) -> Iterator[Document]:
    """One document; its title is its own, else its first heading, else the file's name."""
    try:
        import docx
    except ImportError as exc:
        raise missing("DOCX files", "python-docx") from exc
    if data.startswith(OLD):
        raise DocumentError("it is encrypted, or of an old Word: save it as .docx without a password")
    _check_members(data)
    opened = docx.Document(io.BytesIO(data))
    levels, hidden = _styles(opened)
    blocks, first = [], ""
    for element in opened.element.body.iter(f"{W}p", f"{W}tr"):
        if element.tag == f"{W}tr":
            blocks.append(_row(element, hidden))
        elif _holder(element, f"{W}tc") is None:
            text = _text(element, hidden)
            level = levels.get(_style(element), 0)
            first = first or (text if level else "")
            blocks.append(heading(level, text) if level else paragraph(f"- {text}" if text.strip() and _is_item(element) else text))
    core = opened.core_properties
    title = "" if core.title == "Word Document" else core.title  # what python-docx makes up
    details = {"author": core.author, "language": core.language, "date": core.created.date().isoformat() if core.created else ""}
    text = "\n\n".join(block for block in blocks if block)
    yield make_document(shown(path), title.strip() or first or shown(path.stem), text, details, markdown=True)


def _check_members(data: bytes) -> None:
    """DocumentError for what is no DOCX, unpacks to too much, or declares a document type (entities that grow, or fetch)."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            members = package.infolist()
            texts = [m for m in members if m.filename.lower().endswith((".xml", ".rels"))]
            if sum(m.file_size for m in members) > MOST_UNPACKED or sum(m.file_size for m in texts) > MOST_BYTES:
                raise DocumentError(f"it unpacks to more than {MOST_UNPACKED // 2**20} MiB, or {MOST_BYTES // 2**20} MiB of text")
            if any(m.flag_bits & 1 for m in members):
                raise DocumentError("it is encrypted")
            for member in texts:
                content = package.read(member)
                if any(mark in content for mark in DOCTYPES):
                    raise DocumentError(f"its {member.filename} declares a document type, which no Word file does")
            if "word/document.xml" not in package.namelist() and "[Content_Types].xml" not in package.namelist():
                raise DocumentError("it is not a DOCX")
    except (zipfile.BadZipFile, NotImplementedError) as exc:
        raise DocumentError(f"it is broken, or not a DOCX: {exc}") from exc


def _styles(opened: Docx) -> tuple[dict[str, int], frozenset[str]]:
    """The level of each style that is a heading or is based on one, and the styles whose text isn't shown."""
    levels: dict[str, int] = {}
    hidden = set()
    for style in opened.styles:
        base: Any = style
        for _ in range(10):  # a broken file may base styles on each other in a ring
            name = str(getattr(base, "name", None) or "")
            if name == "Title" or (name.startswith("Heading ") and name[8:].isdigit()):
                levels.setdefault(style.style_id, 1 if name == "Title" else int(name[8:]))
            font = getattr(base, "font", None)
            if font is not None and font.hidden:
                hidden.add(style.style_id)
            base = getattr(base, "base_style", None)
            if base is None:
                break
    return levels, frozenset(hidden)


def _text(element: Any, hidden: frozenset[str]) -> str:
    """The text of a paragraph as it is shown, without that of the paragraphs in its text boxes."""
    if _style(element) in hidden:
        return ""
    parts: list[str] = []
    for run in element.iter(f"{W}r"):
        if _holder(run, f"{W}p") is not element or _is_hidden(run, hidden) or any(above.tag in UNREAD for above in run.iterancestors()):
            continue
        parts += [(child.text or "") if child.tag == f"{W}t" else SPACES.get(child.tag, "") for child in run]
    return "".join(parts)


def _row(element: Any, hidden: frozenset[str]) -> str:
    """The cells of a row of a table; a table within a cell has rows of its own."""
    cells = []
    for cell in element.iter(f"{W}tc"):
        if _holder(cell, f"{W}tr") is element:
            own = (p for p in cell.iter(f"{W}p") if _holder(p, f"{W}tc") is cell)
            cells.append(" ".join(" ".join(_text(p, hidden).split()) for p in own).strip())
    return paragraph(" | ".join(cells)) if any(cells) else ""


def _holder(element: Any, tag: str) -> Any:
    """The nearest element of a tag around one, or None."""
    return next(element.iterancestors(tag), None)


def _child(element: Any, *names: str) -> Any:
    for name in names:
        element = element.find(f"{W}{name}") if element is not None else None
    return element


def _style(element: Any) -> str:
    style = _child(element, "pPr", "pStyle")
    return str(style.get(f"{W}val")) if style is not None else ""


def _is_item(element: Any) -> bool:
    return _child(element, "pPr", "numPr") is not None or _style(element).startswith("List")


def _is_hidden(run: Any, hidden: frozenset[str]) -> bool:
    vanish, style = _child(run, "rPr", "vanish"), _child(run, "rPr", "rStyle")
    if vanish is not None:
        return vanish.get(f"{W}val") not in ("0", "false", "off")
    return style is not None and style.get(f"{W}val") in hidden
