"""What the service adds to its slowest member, and what it carries: `python -m tests.bench.load`.

Five scripted members that take 50 ms each, on five hosts, are asked through the council's HTTP service and through a plain FastAPI
application that calls the same hosts with asyncio.gather: no retrieval, no routing, no vote. Both run on the same Ray, and take
turns, at 1, 8, 32 and 128 requests at once. Then the service is overloaded: four times the requests that it has room for.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from council.config import CouncilConfig
from council.serve import with_auth
from council.server import Server
from tests.conftest import MEMBERS, scripted_config
from tests.serving import free_port

MEMBER_S = 0.05
CONCURRENCY = (1, 8, 32, 128)
LIGHTS = 200
_NUMBERS = count()


@dataclass(frozen=True)
class Load:
    """What came of some requests: seconds each, seconds in all, how many had which status."""

    seconds: tuple[float, ...]
    wall_s: float
    statuses: Counter[int]

    def added_ms(self, share: float) -> float:
        """The part of the requests' time beyond the slowest member's, in milliseconds, at a quantile."""
        return round((float(np.quantile(self.seconds, share)) - MEMBER_S) * 1000, 1)

    @property
    def per_second(self) -> float:
        return round(self.statuses[200] / self.wall_s, 1)


def config(store: Path, concurrent: int, queue: int) -> CouncilConfig:
    """Five members who agree, each on a host of its own."""
    tree = scripted_config({m: {"": "Ada Trell"} for m in MEMBERS}, hosts=len(MEMBERS), delay_s=MEMBER_S)
    for engine in tree["engines"]:
        engine["max_ongoing_requests"] = 1024
    service = {"num_cpus": 0.1, "concurrent": concurrent, "queue": queue, "deadline_s": 60}
    return with_auth(CouncilConfig.model_validate(tree | {"retrieval": {"store": {"path": str(store)}}, "service": service}), False)


def question() -> str:
    """One that nobody has asked before, so that nothing is remembered of it."""
    number = next(_NUMBERS)
    return f"Who keeps light number {number} of the Varn coast, which burns {number * 7 % 90} hours?"


async def put(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> tuple[int, float]:
    began = time.perf_counter()
    async with session.post(url, json=body) as reply:
        await reply.read()
        return reply.status, time.perf_counter() - began


async def press(send: Callable[[], Awaitable[tuple[int, float]]], concurrency: int, requests: int) -> Load:
    """`requests` in all, always `concurrency` at once."""
    left = iter(range(requests))
    seconds: list[float] = []
    statuses: Counter[int] = Counter()

    async def one() -> None:
        for _ in left:
            status, took = await send()
            statuses[status] += 1
            if status == 200:
                seconds.append(took)

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(concurrency)))
    return Load(tuple(seconds), time.perf_counter() - began, statuses)


async def compare(council: str, plain: str, requests: Callable[[int], int], repeats: int, **options: Any) -> dict[str, Any]:
    """Both at each concurrency, taking turns."""
    figures: dict[str, Any] = {}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        ways: dict[str, Callable[[], Awaitable[tuple[int, float]]]] = {
            "council": lambda: put(session, f"{council}/v1/council", {"question": question(), **options}),
            "plain": lambda: put(session, f"{plain}/ask", {"question": question()}),
        }
        for send in ways.values():
            await press(send, 8, 40)
        for concurrency in CONCURRENCY:
            turns: dict[str, list[Load]] = {way: [] for way in ways}
            for _ in range(repeats):
                for way, send in ways.items():
                    turns[way].append(await press(send, concurrency, requests(concurrency)))
            for way, loads in turns.items():
                whole = Load(
                    tuple(s for load in loads for s in load.seconds), sum(load.wall_s for load in loads),
                    sum((load.statuses for load in loads), Counter()),
                )  # fmt: skip
                figures[f"{way}_{concurrency}"] = {
                    "added_p50_ms": whole.added_ms(0.5), "added_p99_ms": whole.added_ms(0.99), "per_second": whole.per_second,
                    "statuses": dict(whole.statuses),
                }  # fmt: skip
            share = figures[f"council_{concurrency}"]["per_second"] / figures[f"plain_{concurrency}"]["per_second"]
            figures[f"throughput_share_{concurrency}"] = round(share, 3)
            print(concurrency, figures[f"council_{concurrency}"], figures[f"plain_{concurrency}"], round(share, 3), flush=True)
    return figures


def fill(url: str) -> None:
    """Documents to search in: a line for each light."""
    lines = [
        json.dumps({"title": f"Light {n}", "text": f"Light number {n} of the Varn coast is kept by Ada Trell."}) for n in range(LIGHTS)
    ]
    import httpx

    reply = httpx.post(f"{url}/v1/documents", files={"files": ("lights.jsonl", "\n".join(lines).encode())}, timeout=120)
    reply.raise_for_status()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0, help="about how long each turn takes")
    parser.add_argument("--repeats", type=int, default=2)
    chosen = parser.parse_args()
    folder = tempfile.mkdtemp()
    server = Server(config(Path(folder) / "store", 256, 1024), "127.0.0.1", free_port())
    server.start()
    port = free_port()
    import ray

    address = ray.get_runtime_context().gcs_address
    plain = subprocess.Popen([sys.executable, "-m", "tests.bench.plain_app", address, str(port)])
    try:
        fill(server.url)
        time.sleep(8)
        requests = lambda c: max(40, int(chosen.seconds * min(c / 0.07, 80)))  # noqa: E731
        print(asyncio.run(compare(server.url, f"http://127.0.0.1:{port}", requests, chosen.repeats)))
        print(asyncio.run(compare(server.url, f"http://127.0.0.1:{port}", requests, chosen.repeats, retrieval=False)))
    finally:
        plain.terminate()
        server.stop()


if __name__ == "__main__":
    main()
