"""The page, and the files it is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse

from council.routes.refusals import Refusal

router = APIRouter(include_in_schema=False)
WEB: Final = Path(__file__).parent.parent / "web"
KINDS: Final = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
CACHE: Final = {"Cache-Control": "no-cache"}
"""Kept, but asked for again: a page never runs with parts of another version."""


@router.get("/")
async def page() -> Response:
    return FileResponse(WEB / "index.html", media_type="text/html; charset=utf-8", headers=CACHE)


@router.get("/assets/{name}")
async def asset(name: str) -> Response:
    """One of the page's own files, by name; nothing else on this machine has an address."""
    kind = KINDS.get(Path(name).suffix)
    if kind is None or name not in {file.name for file in WEB.iterdir()}:
        raise Refusal(404, "the page has no such part", "not_found")
    return FileResponse(WEB / name, media_type=kind, headers=CACHE)


@router.get("/favicon.ico")
async def icon() -> Response:
    return FileResponse(WEB / "icon.svg", media_type=KINDS[".svg"], headers=CACHE)
