"""How fast documents go in: `python -m tests.bench.indexing [--files 2000]`.

Mixed files (Markdown, text, HTML, CSV, JSONL, DOCX, PDF) are made, indexed in one run that is killed in the middle, and indexed
again. Prints one JSON object last.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from council.config import RetrievalConfig, StoreConfig
from council.retrieval import IndexReport, Retriever
from tests.bench.hardware import describe
from tests.retrieval.readers.made import make_pdf

WORDS: Final = [
    "harbour", "light", "ferry", "mill", "granary", "keeper", "council", "treaty", "engine", "valve", "copper", "rainfall", "orchard",
    "ledger", "voyage",
]  # fmt: skip


def sentence(made: random.Random) -> str:
    return f"The {made.choice(WORDS)} of {made.choice(WORDS)} {made.randint(1, 9999)} was {made.choice(WORDS)} {made.randint(1000, 2000)}."


def text(made: random.Random) -> str:
    return " ".join(sentence(made) for _ in range(made.randint(3, 12)))


def write_docx(path: Path, made: random.Random) -> None:
    import docx

    document = docx.Document()
    document.add_heading(f"Number {made.randint(0, 10**6)}")
    document.add_paragraph(text(made))
    document.save(str(path))


KINDS: Final[dict[str, Callable[[random.Random], str]]] = {
    "md": lambda r: f"# {r.choice(WORDS)} {r.randint(0, 999)}\n\n{text(r)}\n\n## More\n\n{text(r)}\n",
    "txt": text,
    "html": lambda r: f"<html><title>{r.choice(WORDS)}</title><body><h1>{r.choice(WORDS)}</h1><p>{text(r)}</p></body></html>",
    "csv": lambda r: "name,year,note\n" + "".join(f"{r.choice(WORDS)} {i},{r.randint(1000, 2000)},{sentence(r)}\n" for i in range(3)),
    "jsonl": lambda r: "".join(json.dumps({"title": r.choice(WORDS), "text": text(r)}) + "\n" for _ in range(2)),
}


def make_files(folder: Path, count: int) -> None:
    made = random.Random(0)
    for number in range(count):
        kind = [*KINDS, "docx", "pdf"][number % 7]
        path = folder / f"{number:05}.{kind}"
        if kind == "docx":
            write_docx(path, made)
        elif kind == "pdf":
            path.write_bytes(make_pdf([text(made).replace(". ", ".\n") for _ in range(2)]))
        else:
            path.write_text(KINDS[kind](made), "utf-8")


def index(folder: str, store: str) -> IndexReport:
    with Retriever(RetrievalConfig(store=StoreConfig(path=store))) as retriever:
        return retriever.index([folder])


def stored(store: str) -> tuple[int, int, bool]:
    """(passages, documents, whether all are whole)."""
    with Retriever(RetrievalConfig(store=StoreConfig(path=store))) as retriever:
        found = retriever.documents()
        return retriever.count(), len(found), all(d.whole for d in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    files = parser.parse_args().files
    with tempfile.TemporaryDirectory() as root:
        folder, whole, broken = Path(root, "files"), f"{root}/whole", f"{root}/broken"
        folder.mkdir()
        make_files(folder, files)
        began = time.monotonic()
        report = index(str(folder), whole)
        seconds = time.monotonic() - began
        killed = multiprocessing.get_context("spawn").Process(target=index, args=(str(folder), broken))
        killed.start()
        killed.join(seconds / 2)
        killed.kill()
        killed.join()
        half = stored(broken)
        resumed = index(str(folder), broken)
        again = index(str(folder), broken)
        figures = {
            "files": files, "documents": report.documents, "passages": report.chunks, "seconds": round(seconds, 1),
            "files_per_s": round(files / seconds, 1), "passages_per_s": round(report.chunks / seconds, 1),
            "killed_at_passages": half[0], "resumed_new": resumed.new, "same_as_whole": stored(broken) == stored(whole),
            "unchanged_after": again.unchanged == again.documents, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }  # fmt: skip
    print(json.dumps(describe() | figures))


if __name__ == "__main__":
    main()
