"""`council keys ...`: parse, call, print."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from council.errors import KeysError
from council.keys import DocumentRights, KeyRing, default_keys
from council.rendering import plain, render_rows
from council.terminal import AsJson, only_ours_on_stdout, plain_console

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make, show and revoke the keys of those who may ask a server.")
Keys = Annotated[Path | None, typer.Option("--keys", help="The keys' file; else $COUNCIL_KEYS, else council/keys.json among your configs.")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Whose key it is, or what it is for.")],
    tenant: Annotated[str, typer.Option(help="Whose documents it reads and writes.")] = "default",
    models: Annotated[str | None, typer.Option(help="The models that it may ask, with commas between; else all.")] = None,
    per_minute: Annotated[int | None, typer.Option(min=1, help="How many requests a minute; else as many as there are.")] = None,
    documents: Annotated[DocumentRights, typer.Option(help="What it may do with documents.")] = "write",
    expires_in_days: Annotated[int | None, typer.Option(min=1, help="When it ends to work; else never.")] = None,
    keys: Keys = None,
) -> None:
    """Make a key, and print it: it is not kept, and can't be shown again."""
    allowed = None if models is None else [model.strip() for model in models.split(",") if model.strip()]
    if allowed == []:  # which would mean all of them
        raise KeysError("--models names no model: name some, or leave it out to allow all")
    ring = KeyRing(keys or default_keys())
    try:
        lasts = None if expires_in_days is None else timedelta(days=expires_in_days)
    except OverflowError as exc:
        raise KeysError(f"--expires-in-days: {expires_in_days} days are too many") from exc
    with only_ours_on_stdout() as out:
        key, grant = ring.add(name, tenant, allowed or (), documents, per_minute, lasts)
        print(key, file=out)
    until = f", works until {grant.expires}" if grant.expires else ""
    print(f"key {grant.id} of {grant.name}, in {ring.path}{until}; it is not shown again", file=sys.stderr)


@app.command("list")
def list_(keys: Keys = None, as_json: AsJson = False) -> None:
    """What the keys allow; never the keys themselves."""
    grants, at = KeyRing(keys or default_keys()).all(), datetime.now(UTC)
    with only_ours_on_stdout() as out:
        if as_json:
            rows = [grant.model_dump(mode="json", exclude={"digest"}) | {"expired": grant.expired(at)} for grant in grants]
            print(json.dumps(rows, ensure_ascii=False), file=out)
            return
        columns = ("id", "name", "tenant", "models", "documents", "a minute", "made (UTC)", "expires (UTC)")
        cells = [
            (
                g.id,
                g.name,
                g.tenant,
                ", ".join(g.models) or "all",
                g.documents,
                str(g.per_minute or "any"),
                _minute(g.created),
                f"{_minute(g.expires)}{', has expired' if g.expired(at) else ''}" if g.expires else "never",
            )
            for g in grants
        ]
        plain_console(out).print(render_rows(columns, cells))


@app.command()
def revoke(
    name_or_id: Annotated[str, typer.Argument(help="As `council keys list` shows them.")],
    keys: Keys = None,
) -> None:
    """Make a key void: a server that runs refuses it within a second."""
    with only_ours_on_stdout() as out:
        grant = KeyRing(keys or default_keys()).revoke(name_or_id)
        print(plain(f"key {grant.id} of {grant.name} is revoked"), file=out)


def _minute(time: str) -> str:
    return f"{datetime.fromisoformat(time).astimezone(UTC):%Y-%m-%d %H:%M}"
