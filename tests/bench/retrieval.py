"""What search finds and how long it takes: `python -m tests.bench.retrieval [--data FOLDER] [--chunks 20000] [--reranker PATH]`.

On the embedded store: the pocket library and its questions; a generated corpus; and domain_qa, where `--data` names it.
For dense, sparse and hybrid search and each option: whether one of the first five passages is one that answers (recall),
the reciprocal rank of the first of these, whether an answer stands in the text of the five (`said`), and the time of a
search without and with the embedding of its question. Then what `min_likeness` leaves out: the passages that answer, and all
passages, of a corpus's own questions and of those on another matter. Prints one JSON object last.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import numpy as np
import psutil
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from council.config import RecencyConfig, RerankConfig, RetrievalConfig
from council.retrieval.edge_store import EdgeStore
from council.retrieval.embedder import Embedder
from council.retrieval.rerank import Reranker
from council.retrieval.search import Found, Searcher, queries
from council.retrieval.sparse import SparseEmbedder
from council.types import Question
from tests.bench.corpus import Asked, Corpus, domain_qa, generated, pocket
from tests.bench.hardware import describe

DATA: Final = Path(__file__).parents[3] / "shared" / "data" / "domain_qa"
SHOWN: Final = 5
EMBEDDED: Final = 100
"""Questions of which the search is timed with the embedding too."""
WARM_UP: Final = 20
THRESHOLDS: Final = (0.1, 0.2, 0.3, 0.4, 0.5)
VARIANTS: Final[dict[str, dict[str, Any]]] = {
    "dense": {"search": "dense"},
    "sparse": {"search": "sparse"},
    "hybrid": {},
    "expand": {"expand": True},
    "diversity 0.3": {"diversity": 0.3},
    "neighbours 1": {"neighbours": 1},
    "recency": {"recency": RecencyConfig()},
    "routed prefer": {"routed": "prefer"},
    "min_likeness 0.1": {"min_likeness": 0.1},
    "min_likeness 0.2": {"min_likeness": 0.2},
    "min_likeness 0.3": {"min_likeness": 0.3},
}


class Remembering(Embedder):
    """Another embedder, that embeds no text twice."""

    def __init__(self, other: Embedder) -> None:
        super().__init__()
        self._other, self._seen = other, dict[str, NDArray[np.float32]]()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        new = [text for text in dict.fromkeys(texts) if text not in self._seen]
        if new:
            self._seen.update(zip(new, self._other.embed(new), strict=True))
        return np.stack([self._seen[text] for text in texts])


@dataclass(frozen=True)
class Space:
    """What a store asks of an embedder."""

    model: str
    dimension: int


@dataclass
class Bench:
    """The corpora in their stores, in a folder for each."""

    root: Path
    embedder: Embedder
    bar: Progress

    def __post_init__(self) -> None:
        self._known = Remembering(self.embedder)

    def fill(self, corpus: Corpus) -> dict[str, Any]:
        """Write a corpus; returns its size and what that took, in memory of a process that has it open and has searched it."""
        task, folder, began = self.bar.add_task(f"indexing {corpus.name}", total=None), self.root / corpus.name, time.monotonic()
        store = EdgeStore(folder, self.embedder)
        try:
            corpus.fill(store, self.embedder, lambda done, total: self.bar.update(task, completed=done, total=total))
            count, seconds = store.count(), time.monotonic() - began
        finally:
            store.close()
        space = Space(self.embedder.model, self.embedder.dimension)
        with multiprocessing.get_context("spawn").Pool(1) as one:
            resident = one.apply(resident_mib, (folder, space, [a.text for a in corpus.asked]))
        files = [f.stat() for f in folder.rglob("*") if f.is_file()]
        return {
            "passages": count, "questions": len(corpus.asked), "indexing_s": round(seconds, 1),
            "resident_mib": round(resident, 1), "disk_mib": round(sum(512 * f.st_blocks for f in files) / 2**20, 1),
        }  # fmt: skip

    def measure(self, corpus: Corpus, variants: Mapping[str, Mapping[str, Any]], others: Mapping[str, Corpus]) -> dict[str, Any]:
        """What each variant finds; what thresholds would leave out, of its own questions and of those of `others`."""
        store = EdgeStore(self.root / corpus.name, self.embedder)
        task = self.bar.add_task(f"asking {corpus.name}", total=len(variants))
        rows, lost, empty = dict[str, Any](), dict[str, float](), dict[str, Any]()
        self._known.embed([text for one in corpus.asked for text in queries(Question(text=one.text), True)])
        try:
            for name, chosen in variants.items():
                config = corpus.config.model_copy(update={"min_likeness": 0.0, **chosen})
                found, row = self._ask(config, store, corpus.asked)
                rows[name] = row
                lost = lost_at(corpus.asked, found) if name == "hybrid" else lost
                self.bar.advance(task)
            dense = self._searcher(corpus.config.model_copy(update={"search": "dense", "min_likeness": 0.0}), store, self._known)
            for name, other in {corpus.name: corpus, **others}.items():
                best = [dense.search(Question(text=one.text), 1).passages for one in other.asked]
                empty[name] = below([max((p.likeness or 0.0 for p in some), default=0.0) for some in best])
        finally:
            store.close()
        return {"variants": rows, "gold_lost": lost, "questions_without_passage": empty}

    def _ask(self, config: RetrievalConfig, store: EdgeStore, asked: Sequence[Asked]) -> tuple[list[Found], dict[str, Any]]:
        known, whole = self._searcher(config, store, self._known), self._searcher(config, store, self.embedder)
        for one in asked[:WARM_UP]:
            known.search(Question(text=one.text), SHOWN)
        found, alone = timed(known, asked)
        _, embedded = timed(whole, asked[:EMBEDDED])
        return found, quality(asked, found) | milliseconds("search", alone) | milliseconds("embedded", embedded)

    def _searcher(self, config: RetrievalConfig, store: EdgeStore, embedder: Embedder) -> Searcher:
        reranker = Reranker(config.rerank) if config.rerank is not None else None
        return Searcher(config, store, embedder, SparseEmbedder(config.chunk_tokens), reranker)


def timed(searcher: Searcher, asked: Sequence[Asked]) -> tuple[list[Found], list[float]]:
    """What is found, by a router that never errs, and the seconds of each search."""
    found, seconds = [], []
    for one in asked:
        began = time.perf_counter()
        found.append(searcher.search(Question(text=one.text), SHOWN, one.domain))
        seconds.append(time.perf_counter() - began)
    return found, seconds


def quality(asked: Sequence[Asked], found: Sequence[Found]) -> dict[str, float]:
    ranks = [rank_of(one, some) for one, some in zip(asked, found, strict=True)]
    said = [
        any(answer.casefold() in p.text.casefold() for p in some.passages for answer in one.answers)
        for one, some in zip(asked, found, strict=True)
        if one.answers
    ]
    return {
        "recall_at_5": round(fmean(rank > 0 for rank in ranks), 4), "mrr": round(fmean(1 / rank if rank else 0.0 for rank in ranks), 4),
        "said": round(fmean(said), 4),
    }  # fmt: skip


def rank_of(one: Asked, found: Found) -> int:
    """Of the first passage that answers, from 1; 0: none does."""
    return next((n for n, p in enumerate(found.passages, 1) if p.provenance.details.get("id") in one.passages), 0)


def lost_at(asked: Sequence[Asked], found: Sequence[Found]) -> dict[str, float]:
    """Of the questions that a passage answers which was found, the share that each threshold would leave none of these."""
    best = []
    for one, some in zip(asked, found, strict=True):
        likeness = [p.likeness or 0.0 for p in some.passages if p.provenance.details.get("id") in one.passages]
        best += [max(likeness)] if likeness else []
    return below(best)


def below(likeness: Sequence[float]) -> dict[str, float]:
    """The share below each threshold."""
    return {str(t): round(fmean(one < t for one in likeness), 4) for t in THRESHOLDS}


def milliseconds(what: str, seconds: Sequence[float]) -> dict[str, float]:
    p50, p95 = np.percentile(seconds, [50, 95]) * 1e3
    return {f"{what}_p50_ms": round(float(p50), 1), f"{what}_p95_ms": round(float(p95), 1)}


def resident_mib(folder: Path, space: Space, questions: Sequence[str]) -> float:
    """What opening a store and searching it adds to a process of its own. The vectors are drawn."""
    process, rng, sparse = psutil.Process(), np.random.default_rng(0), SparseEmbedder()
    before = process.memory_info().rss
    store = EdgeStore(folder, space)
    for question in questions:
        dense = rng.normal(size=space.dimension).astype(np.float32)
        found = store.nearest([dense / np.linalg.norm(dense), sparse.embed_query(question)], 50, "default")
        store.fetch([id for some in found for id, _ in some], "default")
    grown = process.memory_info().rss - before
    store.close()
    return float(grown) / 2**20


def tables(figures: Mapping[str, Any]) -> list[Table]:
    """One of variants for each corpus, and one of thresholds."""
    made = []
    for name, corpus in figures.items():
        size = f"{corpus['resident_mib']} MiB resident, {corpus['disk_mib']} MiB on disk"
        title = f"{name}: {corpus['passages']} passages, {corpus['questions']} questions; {size}"
        table = Table("", "recall@5", "MRR", "said", "p50 ms", "p95 ms", "p50 with embedding", "p95", title=title)
        for variant, row in corpus["variants"].items():
            table.add_row(variant, *(f"{v:.3f}" if v <= 1 and not k.endswith("ms") else f"{v:.1f}" for k, v in row.items()))
        made.append(table)
    thresholds = Table("min_likeness", *map(str, THRESHOLDS), title="what a threshold leaves out")
    for name, corpus in figures.items():
        thresholds.add_row(f"{name}: of what answers and was found", *(f"{v:.1%}" for v in corpus["gold_lost"].values()))
        for other, shares in corpus["questions_without_passage"].items():
            thresholds.add_row(f"{name}: all, of questions of {other}", *(f"{v:.1%}" for v in shares.values()))
    return [*made, thresholds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--chunks", type=int, default=20_000)
    parser.add_argument("--reranker")
    chosen = parser.parse_args()
    variants, began, machine = dict(VARIANTS), time.monotonic(), describe()
    if chosen.reranker:
        variants["reranker"] = {"rerank": RerankConfig(model=chosen.reranker)}
    with tempfile.TemporaryDirectory() as root, Progress(console=Console(stderr=True)) as bar:
        corpora = [pocket(), generated(chosen.chunks)]
        if (chosen.data / "questions.jsonl.gz").is_file():
            corpora.append(domain_qa(chosen.data, Path(root, "documents")))
        else:
            bar.console.print(f"domain_qa is left out: {chosen.data} has no questions.jsonl.gz")
        bench, figures = Bench(Path(root), Embedder(), bar), dict[str, Any]()
        natural = {c.name: c for c in corpora if c.name != "generated"}
        for corpus in corpora:
            others = {name: c for name, c in natural.items() if name != corpus.name and corpus.name in natural}
            figures[corpus.name] = bench.fill(corpus) | bench.measure(corpus, variants, others)
    for table in tables(figures):
        Console(width=120).print(table)
    print(json.dumps(machine | {"seconds": round(time.monotonic() - began), "corpora": figures}))


if __name__ == "__main__":
    main()
