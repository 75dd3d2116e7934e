"""Stored passages as training data for specialists, with a limit on what models wrote.

Models that are trained on what models wrote lose what is rare, then the rest (Shumailov et al. 2024, "AI models collapse when
trained on recursively generated data"); with enough that people wrote each time they don't, and with too little they do, the
sooner the more they feed on themselves (Alemohammad et al. 2023, "Self-Consuming Generative Models Go MAD"). So other models'
text is let in up to a share, and the council's own is left out whatever the limit: its errors would come back as training data,
and the members, whose agreement is what answers are believed for, would agree the more on them.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, TextIO, get_args

from council.errors import ConfigError, DocumentError
from council.retrieval.fault import one_line
from council.retrieval.said import words
from council.retrieval.store import Chunk
from council.types import GENERATED, Frozen, Origin

LEFT_OUT: Final[Origin] = "council"


class OriginCount(Frozen):
    """What is of one origin."""

    chunks: int
    words: int
    share: float
    """Of the words of all origins."""


class ExportReport(Frozen):
    """What was exported, and what of."""

    chunks: int
    """Lines that were written."""
    words: int
    documents: int
    generated: float
    """The share of words that models wrote, the council among them; text of unknown origin counts as people's."""
    origins: dict[Origin, OriginCount]
    """All that is searched, by origin, what the council said included: that much was found and left out."""
    held: int
    """Chunks that were left out since they are held back, and counted nowhere else."""


def export_corpus(chunks: Iterable[Chunk], path: Path, most_generated: float = 0.1) -> ExportReport:
    """Write the chunks as JSON lines, in their order, but for those that are held back and what the council said.

    A line has title, text, domain, origin, source, author, date, licence, language and document (the content hash of the
    whole document; chunks of one repeat up to `overlap_tokens` of each other). A file that is there is replaced, when all is
    written and not before.

    Raises DocumentError when models wrote a larger share of the words than `most_generated`, when there is nothing to export,
    and when the file can't be written; ConfigError for a share that is none. What the council said counts, though it is left
    out: where much of it was recognised, there is more that was not.
    """
    if not 0 <= most_generated <= 1:
        raise ConfigError(f"most_generated: {most_generated} is no share, which is from 0 to 1")
    counts, sizes, documents, held = Counter[Origin](), Counter[Origin](), set[str](), 0
    with _whole(path.expanduser().absolute()) as file:
        for chunk in chunks:
            if chunk.held:
                held += 1
                continue
            origin = chunk.provenance.origin
            counts[origin] += 1
            sizes[origin] += len(words(chunk.text))
            if origin != LEFT_OUT:
                documents.add(chunk.provenance.document or chunk.id)
                _write(file, chunk)
        report = _report(counts, sizes, len(documents), held)
        _check(report, path, most_generated)
    return report


def _report(counts: Counter[Origin], sizes: Counter[Origin], documents: int, held: int) -> ExportReport:
    total = max(1, sizes.total())
    return ExportReport(
        chunks=counts.total() - counts[LEFT_OUT],
        words=sizes.total() - sizes[LEFT_OUT],
        documents=documents,
        generated=sum(sizes[origin] for origin in GENERATED) / total,
        origins={o: OriginCount(chunks=counts[o], words=sizes[o], share=sizes[o] / total) for o in get_args(Origin)},
        held=held,
    )


def _check(report: ExportReport, path: Path, most: float) -> None:
    machine, council = (report.origins[origin] for origin in GENERATED)
    if report.generated > most:
        total = sum(count.words for count in report.origins.values())
        raise DocumentError(
            f"{path} is not written: models wrote {report.generated:.2%} of the words ({machine.words + council.words:,} of {total:,}; "
            f"chunks by machines: {machine.chunks}, by the council: {council.chunks}), and {most:.2%} is the most; remove such "
            "documents, add some that people wrote, or raise most_generated"
        )
    if not report.chunks:
        raise DocumentError(
            f"{path} is not written: there is nothing to export (chunks that are held back: {report.held}, that the "
            f"council said: {council.chunks}); index documents that people wrote"
        )


def _write(file: TextIO, chunk: Chunk) -> None:
    about = chunk.provenance
    line: dict[str, Any] = {
        "title": chunk.title, "text": chunk.text, "domain": chunk.domain, "origin": about.origin, "source": about.source,
        "author": about.author, "date": about.date, "licence": about.licence, "language": about.language, "document": about.document,
    }  # fmt: skip
    file.write(json.dumps(line, ensure_ascii=False) + "\n")


@contextmanager
def _whole(path: Path) -> Iterator[TextIO]:
    """A file that takes the place of `path` when all went well, and else leaves no trace."""
    part = path.parent / f".{path.name}.{token_hex(4)}.part"
    try:
        # Half of a surrogate pair, which is no UTF-8, becomes \ud800, which JSON reads.
        with part.open("x", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as exc:
        raise DocumentError(
            f"{path} can't be written: {one_line(exc)}; give a path in a folder that you may write to, on a disk with room"
        ) from exc
    finally:
        with suppress(OSError):  # as where there is no such folder
            part.unlink(missing_ok=True)
