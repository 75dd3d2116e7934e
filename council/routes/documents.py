"""/v1/documents: what the members read, by tenant."""

from __future__ import annotations

import shutil
import tempfile
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Final, Literal

from fastapi import APIRouter, File, Form, Request, UploadFile
from pydantic import BaseModel

from council.errors import DocumentError
from council.retrieval import IndexReport, StoredDocument
from council.routes.caller import Reader, ServiceDep, Writer
from council.routes.refusals import Refusal, documented
from council.service import document_id
from council.types import Origin, Passage

router = APIRouter(tags=["documents"])
MOST_FILES: Final = 100
LONGEST_NAME: Final = 200


class Listed(BaseModel):
    """A file in the store. A file of many documents has the title of each."""

    id: str
    object: Literal["document"] = "document"
    file: str
    titles: list[str]
    passages: int
    held: list[str]
    """Why passages of it are held back."""
    origin: Origin
    domain: str | None
    source: str


class Listing(BaseModel):
    object: Literal["list"] = "list"
    data: list[Listed]


class Shown(BaseModel):
    """A file with its passages, as members would read them."""

    id: str
    object: Literal["document"] = "document"
    file: str
    passages: list[Passage]


class Indexed(IndexReport):
    """What adding files did."""

    object: Literal["index_report"] = "index_report"


class Removed(BaseModel):
    id: str
    object: Literal["document"] = "document"
    deleted: Literal[True] = True
    passages: int


def by_file(documents: Iterable[StoredDocument]) -> list[Listed]:
    """Stored documents, together by their file."""
    files: dict[str, list[StoredDocument]] = {}
    for document in documents:
        files.setdefault(document.file, []).append(document)
    return [_listed(file, some) for file, some in files.items()]


def _listed(file: str, documents: Sequence[StoredDocument]) -> Listed:
    first = documents[0]
    origins, domains = {d.provenance.origin for d in documents}, {d.domain for d in documents}
    return Listed(
        id=document_id(file), file=file, titles=[d.title for d in documents], passages=sum(d.chunks for d in documents),
        held=sorted({why for d in documents for why in d.held}), origin=origins.pop() if len(origins) == 1 else "unknown",
        domain=domains.pop() if len(domains) == 1 else None, source=first.provenance.source,
    )  # fmt: skip


@router.get("/v1/documents", responses=documented(400, 401, 403, 429, 500, 503), operation_id="list_documents")
async def list_documents(service: ServiceDep, grant: Reader, held: bool = False) -> Listing:
    """The caller's documents; with `held`, only those of which something is held back."""
    return Listing(data=by_file(d for d in await service.documents(grant.tenant) if d.held or not held))


@router.post("/v1/documents", responses=documented(400, 401, 403, 408, 413, 429, 500, 503), operation_id="add_documents")
async def add_documents(
    service: ServiceDep, grant: Writer, files: Annotated[list[UploadFile], File(min_length=1, max_length=MOST_FILES)],
    domain: Annotated[str | None, Form(max_length=200)] = None,
) -> Indexed:  # fmt: skip
    """Add files, or replace those of the same name. What can't be read is named in `skipped`."""
    folder = Path(tempfile.mkdtemp(prefix="council-upload-"))
    try:
        for file in files:
            await _keep(file, folder)
        report = await service.index(folder, grant.tenant, domain or None)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not report.documents and not report.removed:
        name, reason = report.skipped[0] if report.skipped else (files[0].filename, "it holds no document")
        raise Refusal(400, f"{name}: {reason}", "unreadable_document", "files")
    return Indexed(**report.model_dump())


async def _keep(file: UploadFile, folder: Path) -> None:
    """Write an upload under its name, which is nothing but a name here."""
    name = safe_name(file.filename or "")
    place = folder / name
    if place.exists():
        raise Refusal(400, f"files: two have the name {name!r}", "invalid_value", "files")
    with place.open("wb") as kept:
        while piece := await file.read(1 << 20):
            kept.write(piece)


def safe_name(given: str) -> str:
    """The last part of a file's name, without control characters. Refuses one of which nothing is left, or too much."""
    last = PureWindowsPath(PurePosixPath(unicodedata.normalize("NFC", given)).name).name
    name = "".join(c for c in last if c.isprintable() and not "\ud800" <= c <= "\udfff").strip().lstrip(".")
    if not name or len(name.encode()) > LONGEST_NAME:
        raise Refusal(400, f"files: every file wants a name of at most {LONGEST_NAME} bytes", "invalid_value", "files")
    return name


async def _file(service: ServiceDep, id: str, tenant: str) -> str:
    try:
        return await service.file_of(id, tenant)
    except DocumentError as exc:
        raise Refusal(404, str(exc), "document_not_found", "id") from exc


@router.get("/v1/documents/{id}", responses=documented(401, 403, 404, 429, 500, 503), operation_id="get_document")
async def get_document(id: str, service: ServiceDep, grant: Reader) -> Shown:
    """A document's passages."""
    file = await _file(service, id, grant.tenant)
    return Shown(id=id, file=file, passages=await service.passages(file, grant.tenant))


@router.delete("/v1/documents/{id}", responses=documented(401, 403, 404, 429, 500, 503), operation_id="remove_document")
async def remove_document(id: str, service: ServiceDep, grant: Writer, request: Request) -> Removed:
    """Remove a document, and its text from the store's disk."""
    file = await _file(service, id, grant.tenant)
    return Removed(id=id, passages=await service.remove(file, grant.tenant))
