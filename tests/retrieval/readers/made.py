"""Files that the tests of the readers read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from council.retrieval.documents import Document, read_documents
from council.retrieval.readers.document import NAMED


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def make_pdf(pages: Sequence[str], info: str = "") -> bytes:
    """A PDF with these lines on its pages; `info` is the inside of its dictionary of information."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * place) for place in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /Lang (en) >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for place, page in enumerate(pages):
        lines = [line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").encode("cp1252") for line in page.split("\n")]
        body = b"BT /F1 12 Tf 14 TL 72 720 Td " + b" ".join(b"(%s) Tj T*" % line for line in lines if line) + b" ET"
        box = b"/MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >>"
        objects.append(b"<< /Type /Page /Parent 2 0 R %s /Contents %d 0 R >>" % (box, 5 + 2 * place))
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(body), body))
    objects.append(b"<< %s >>" % info.encode())
    out, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    size = len(objects) + 1
    table = b"xref\n0 %d\n0000000000 65535 f \n" % size + b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return out + table + b"trailer << /Size %d /Root 1 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(objects), len(out))


def repacked(docx: bytes, changes: Mapping[str, tuple[bytes, bytes]]) -> bytes:
    """A DOCX with something in its members replaced."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(docx)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            before, after = changes.get(name, (b"", b""))
            content = old.read(name)
            assert before in content
            new.writestr(name, content.replace(before, after, 1) if before else content)
    return out.getvalue()


def read(path: Path) -> Document:
    """The one document of a file."""
    (document,) = read_documents([path]).documents
    return document


def named(document: Document) -> dict[str, str]:
    """What a document says of itself in its provenance's own fields."""
    return {name: value for name in NAMED if (value := getattr(document.provenance, name))}


def why_not(path: Path) -> str:
    """Why a file is skipped."""
    reading = read_documents([path])
    assert reading.documents == ()
    ((where, why),) = reading.skipped
    assert where == str(path)
    return why
