"""What the service adds to its slowest member, and what it carries: `python -m tests.bench.load`.

Five scripted members that take 50 ms each, on one host (as adapters of one model are) and on five, are asked through the council's HTTP
service and through a plain FastAPI application that calls the same members with asyncio.gather: no retrieval, no routing, no vote.
Both run on the same Ray, and take turns, at 1, 8, 32 and 128 requests at once. Then the service is offered four times the questions a
second that it can answer.
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
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import numpy as np
import psutil
import ray

from council.config import CouncilConfig
from council.serve import with_auth
from council.server import Server
from tests.bench.hardware import describe
from tests.conftest import MEMBERS, scripted_config
from tests.serving import free_port

Send = Callable[[], Awaitable[tuple[int, float]]]
PLAIN = "plain"
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


def config(store: Path, hosts: int, concurrent: int, queue: int) -> CouncilConfig:
    """Five members who agree, on this many hosts."""
    tree = scripted_config({m: {"": "Ada Trell"} for m in MEMBERS}, hosts=hosts, delay_s=MEMBER_S)
    for engine in tree["engines"]:
        engine["max_ongoing_requests"] = 1024
    service = {"num_cpus": 1, "concurrent": concurrent, "queue": queue, "deadline_s": 60}
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


async def press(send: Send, concurrency: int, requests: int) -> Load:
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


def together(loads: Sequence[Load]) -> Load:
    seconds = tuple(s for load in loads for s in load.seconds)
    return Load(seconds, sum(load.wall_s for load in loads), sum((load.statuses for load in loads), Counter()))


async def compare(ways: dict[str, Send], turn_s: float, repeats: int) -> dict[str, Any]:
    """All ways at each concurrency, taking turns, with what each carries of what the last one does."""
    figures: dict[str, Any] = {}
    rates = dict.fromkeys(ways, 10.0)
    for send in ways.values():
        await press(send, 8, 40)
    for concurrency in CONCURRENCY:
        turns: dict[str, list[Load]] = {way: [] for way in ways}
        for _ in range(repeats):
            for way, send in ways.items():
                load = await press(send, concurrency, max(30, 2 * concurrency, int(turn_s * rates[way])))
                rates[way] = load.per_second
                turns[way].append(load)
        found = {way: together(loads) for way, loads in turns.items()}
        plain = found[PLAIN].per_second
        figures[str(concurrency)] = {
            way: {
                "added_p50_ms": load.added_ms(0.5), "added_p99_ms": load.added_ms(0.99), "per_second": load.per_second,
                "share_of_plain": round(load.per_second / plain, 3), "statuses": dict(load.statuses),
            }
            for way, load in found.items()
        }  # fmt: skip
        print(concurrency, json.dumps(figures[str(concurrency)]), flush=True)
    return figures


async def overload(send: Send, rate: float, seconds: float, front: psutil.Process) -> dict[str, Any]:
    """Requests at this rate, whatever becomes of them; then one at a time, until the answers are as quick as before."""
    await press(send, 16, 300)  # what is made once is made
    before = await press(send, 1, 30)
    usual_s, memory = float(np.median(before.seconds)), front.memory_info().rss
    statuses: Counter[int | str] = Counter()

    async def one() -> None:
        try:
            statuses[(await send())[0]] += 1
        except aiohttp.ClientError as exc:
            statuses[type(exc).__name__] += 1

    began = time.perf_counter()
    tasks: list[asyncio.Task[None]] = []
    peak = memory
    while (passed := time.perf_counter() - began) < seconds:
        while len(tasks) < passed * rate:
            tasks.append(asyncio.create_task(one()))
        peak = max(peak, front.memory_info().rss)
        await asyncio.sleep(0.01)
    over = time.perf_counter()
    quick = 0
    while quick < 3 and time.perf_counter() - over < 60:
        status, took = await send()
        quick = quick + 1 if status == 200 and took < 2 * usual_s else 0
    recovered_s = time.perf_counter() - over
    await asyncio.gather(*tasks)
    return {
        "offered_per_second": round(rate, 1), "seconds": seconds, "statuses": {str(k): n for k, n in statuses.items()},
        "recovered_s": round(recovered_s, 2), "usual_ms": round(usual_s * 1000, 1), "memory_mib": round(memory / 2**20, 1),
        "peak_memory_mib": round(peak / 2**20, 1), "memory_after_mib": round(front.memory_info().rss / 2**20, 1),
    }  # fmt: skip


def fill(url: str) -> None:
    """Documents to search in: a line for each light."""
    text = "Light number {} of the Varn coast is kept by Ada Trell."
    lines = [json.dumps({"title": f"Light {n}", "text": text.format(n)}) for n in range(LIGHTS)]
    reply = httpx.post(f"{url}/v1/documents", files={"files": ("lights.jsonl", "\n".join(lines).encode())}, timeout=120)
    reply.raise_for_status()


@contextmanager
def served(hosts: int, concurrent: int, queue: int) -> Iterator[str]:
    """The address of a council that runs meanwhile, on a Ray of its own."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(config(Path(folder) / "store", hosts, concurrent, queue), "127.0.0.1", free_port())
        server.start()
        try:
            fill(server.url)
            yield server.url
        finally:
            server.stop()


@contextmanager
def plain_app(hosts: int) -> Iterator[str]:
    """The address of the plain application, which asks the hosts of the council that runs."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.plain_app", ray.get_runtime_context().gcs_address, str(port), str(hosts)]
    process = subprocess.Popen(command)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with suppress(httpx.TransportError):
                httpx.get(url, timeout=5)
                break
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


def front_of() -> psutil.Process:
    """The council's replica, among the workers of this process's Ray."""
    mine = psutil.Process().children(recursive=True)
    return next(p for p in mine if any("ServeReplica:council:council" in word for word in p.cmdline()))


async def measure(council: str, plain: str, turn_s: float, repeats: int) -> dict[str, Any]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        ways: dict[str, Send] = {
            "council": lambda: put(session, f"{council}/v1/council", {"question": question()}),
            "council_without_retrieval": lambda: put(session, f"{council}/v1/council", {"question": question(), "retrieval": False}),
            PLAIN: lambda: put(session, f"{plain}/ask", {"question": question()}),
        }
        return await compare(ways, turn_s, repeats)


async def overwhelm(url: str, rate: float, seconds: float) -> dict[str, Any]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        return await overload(lambda: put(session, f"{url}/v1/council", {"question": question()}), rate, seconds, front_of())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=8.0, help="about how long each turn takes")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--hosts", type=int, nargs="*", default=[1, 5])
    chosen = parser.parse_args()
    figures = describe() | {"member_ms": MEMBER_S * 1000}
    for hosts in chosen.hosts:
        with served(hosts, 256, 1024) as council, plain_app(hosts) as plain:
            figures[f"hosts_{hosts}"] = asyncio.run(measure(council, plain, chosen.seconds, chosen.repeats))
    capacity = max(at["council"]["per_second"] for at in figures[f"hosts_{chosen.hosts[0]}"].values())
    with served(chosen.hosts[0], 16, 32) as council:
        figures["overload"] = asyncio.run(overwhelm(council, 4 * capacity, 20.0))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
