"""`council serve`: parse, start, wait."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from council.config import load_config, parse_settings
from council.terminal import Config, Settings, only_ours_on_stdout


def serve(
    config: Config = "pocket",
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for all of this machine's.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8000,
    keys: Annotated[Path | None, typer.Option(help="The file of API keys that `council keys` writes.")] = None,
    open_to_all: Annotated[bool, typer.Option("--open", help="Ask for no keys, on whatever address.")] = False,
    write: Annotated[
        Path | None, typer.Option("--write-config", help="Write a file for `serve run` and `serve deploy`, and start nothing.")
    ] = None,
    settings: Settings = None,
) -> None:
    """Serve the council over HTTP: OpenAI-compatible, with a page. Ends with SIGTERM, when what is asked by then is answered."""
    chosen = parse_settings(settings)
    if keys is not None:
        chosen["service.keys"] = str(keys.expanduser().resolve())
    loaded = load_config(config, chosen)
    with only_ours_on_stdout() as out:
        from council.server import Server, decide_auth, serve_until_told, write_config

        decided = decide_auth(loaded, host, open_to_all)
        if write is not None:
            write_config(decided, host, port, write)
            print(f"{write}: run it with `serve run {write}`, or `serve deploy {write}` on a cluster", file=out)
            return
        server = Server(decided, host, port)
        status = Console(stderr=True).status(f"Starting {len(decided.specialists)} specialists")
        status.start()

        def ready() -> None:
            status.stop()
            asked = "API keys are asked for" if decided.service.auth == "required" else "no API keys are asked for"
            print(f"The council answers at {server.url} ({asked}). Press Ctrl+C to end.", file=out, flush=True)

        try:
            left = serve_until_told(server, ready)
        finally:
            status.stop()
        if left:
            print(f"{left} questions were not answered", file=sys.stderr)
