"""`council documents ...`: parse, call, print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from council.rendering import plain, render_rows
from council.terminal import AsJson, Config, Settings, Tenant, only_ours_on_stdout, opened, plain_console, progress_bar

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="See and remove the documents that the members read.")


@app.command("list")
def list_(
    config: Config = "pocket",
    tenant: Tenant = "default",
    as_json: AsJson = False,
    held: Annotated[bool, typer.Option("--held", help="Only those of which something is held back.")] = False,
    settings: Settings = None,
) -> None:
    """What is in the store: file, title, passages, where it comes from, and what of it is held back."""
    with only_ours_on_stdout() as out, opened(config, settings) as council:
        found = [d for d in council.documents(tenant) if d.held or not held]
        if as_json:
            print(json.dumps([d.model_dump(mode="json") for d in found], ensure_ascii=False), file=out)
            return
        rows = [
            (
                d.file,
                d.title,
                f"{d.chunks} of {d.parts}" if not d.whole else str(d.chunks),
                d.provenance.origin,
                d.domain or "",
                "; ".join(d.held),
            )
            for d in found
        ]
        plain_console(out).print(render_rows(("file", "title", "passages", "origin", "domain", "held back"), rows))


@app.command()
def show(
    file: Annotated[str, typer.Argument(help="A file that is in the store.")],
    config: Config = "pocket",
    tenant: Tenant = "default",
    as_json: AsJson = False,
    settings: Settings = None,
) -> None:
    """The passages of a file, as members would read them."""
    with only_ours_on_stdout() as out, opened(config, settings) as council:
        passages = council.passages(file, tenant)
        if as_json:
            print(json.dumps([p.model_dump(mode="json") for p in passages], ensure_ascii=False), file=out)
            return
        for passage in passages:
            page = passage.provenance.details.get("page")
            print(plain(f"{passage.title or 'untitled'}{f', page {page}' if page else ''}\n{passage.text}\n"), file=out)


@app.command()
def remove(
    files: Annotated[list[Path], typer.Argument(help="Files that are in the store; they stay on the disk where they are.")],
    config: Config = "pocket",
    tenant: Tenant = "default",
    settings: Settings = None,
) -> None:
    """Remove documents from the store, and their text from its disk."""
    with only_ours_on_stdout() as out, opened(config, settings) as council:
        print(f"{council.remove(files, tenant)} passages removed", file=out)


@app.command()
def export(
    path: Annotated[Path, typer.Argument(help="The file to write; one that is there is replaced when all is written.")],
    most_generated: Annotated[float, typer.Option(help="The largest share of words that models may have written.")] = 0.1,
    config: Config = "pocket",
    tenant: Tenant = "default",
    settings: Settings = None,
) -> None:
    """Write the passages as training data for specialists (JSON lines), unless too much of it was written by models."""
    with only_ours_on_stdout() as out, opened(config, settings) as council:
        report = council.export(path, tenant, most_generated)
        origins = ", ".join(f"{name} {counted.share:.0%}" for name, counted in report.origins.items())
        print(f"{report.chunks} passages of {report.documents} documents, {report.words} words ({origins}): {path}", file=out)


@app.command()
def migrate(
    drop_old: Annotated[bool, typer.Option("--drop-old", help="Remove the vectors of the model before, when all is moved.")] = False,
    config: Config = "pocket",
    settings: Settings = None,
) -> None:
    """Move a Qdrant server's documents, of all tenants, to the embedding model that the config names."""
    with only_ours_on_stdout() as out, opened(config, settings) as council:
        with progress_bar() as progress:
            task = progress.add_task("embedding", total=None)
            moved = council.migrate(lambda done, total: progress.update(task, completed=done, total=total), drop_old)
        print(f"{moved} passages moved", file=out)
