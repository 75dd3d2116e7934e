"""What becomes of questions while parts of the service fail: `python -m tests.bench.faults`.

Three Ray nodes on this machine, five scripted members on hosts of their own that are spread over them, two replicas of the council,
one proxy, and a store behind HTTP (the tests' stand-in for a Qdrant server). A thousand questions are asked, eight at once. After
every 160 something fails: a host is killed, a replica of the council is killed, a host is paused, the store is stopped, a whole node is
lost. Every question must have a verdict or a clear error before its deadline has passed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import httpx
import psutil
import ray
from ray.cluster_utils import Cluster

from council.config import CouncilConfig
from council.routes.proxy import CALLBACK
from council.serve import with_auth
from council.server import CALLBACK_VARIABLE, Server
from tests.bench.hardware import describe
from tests.bench.load import fill, question
from tests.conftest import MEMBERS, scripted_config
from tests.retrieval.fake_qdrant import FakeQdrant
from tests.serving import free_port

DEADLINE_S = 10.0
MEMBER_DEADLINE_S = 3.0
SLACK_S = 3.0
"""Beyond its deadline, what an answer may take on a busy machine of two cores."""
AT_ONCE = 8
HOST, FRONT = "ServeReplica:council:host-script", "ServeReplica:council:council"


@dataclass
class Phase:
    """What came of the questions that were asked while one thing was wrong."""

    counts: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0


def config(store: str) -> CouncilConfig:
    tree = scripted_config({m: {"": "Ada Trell"} for m in MEMBERS}, hosts=len(MEMBERS), delay_s=0.05)
    for engine in tree["engines"]:
        engine["resources"] = {"num_cpus": 1}
    service = {"num_cpus": 1, "replicas": 2, "concurrent": 32, "queue": 64, "deadline_s": DEADLINE_S}
    tree |= {"retrieval": {"store": {"kind": "server", "url": store}}, "service": service, "deadline_s": MEMBER_DEADLINE_S}
    return with_auth(CouncilConfig.model_validate(tree | {"aggregator": {"quorum": 3}}), False)


def replicas(cluster: Cluster, part: str) -> list[psutil.Process]:
    """The processes of a deployment's replicas on this cluster."""
    raylets = [psutil.Process(node.all_processes["raylet"][0].process.pid) for node in cluster.list_all_nodes()]  # type: ignore[no-untyped-call]
    workers = [worker for raylet in raylets for worker in raylet.children(recursive=True)]
    return [worker for worker in workers if any(part in word for word in worker.cmdline())]


@contextmanager
def three_nodes() -> Iterator[tuple[Cluster, list[Any]]]:
    os.environ.setdefault(CALLBACK_VARIABLE, CALLBACK)
    cluster = Cluster(initialize_head=True, connect=True, head_node_args={"num_cpus": 4, "include_dashboard": False})
    try:
        yield cluster, [cluster.add_node(num_cpus=4) for _ in range(2)]
    finally:
        ray.shutdown()
        cluster.shutdown()  # type: ignore[no-untyped-call]


async def ask(session: aiohttp.ClientSession, url: str) -> tuple[str, float]:
    """What came of one question, in a word, and after how many seconds."""
    began, text = time.perf_counter(), ""
    try:
        async with session.post(f"{url}/v1/council", json={"question": question()}, timeout=aiohttp.ClientTimeout(60)) as reply:
            text = await reply.text()
            told = json.loads(text)
            name = told["status"] if reply.status == 200 else f"{reply.status} {told['error']['code']}"
            if reply.status == 504:
                name += f" {told['error']['message']}"
    except TimeoutError:
        name = "hung"
    except (aiohttp.ClientError, ValueError, KeyError, TypeError) as exc:
        name = f"unclear: {type(exc).__name__} {text[:80]}"
    return name, time.perf_counter() - began


async def run(url: str, steps: list[tuple[str, Callable[[], None]]], each: int, total: int) -> dict[str, Phase]:
    """`total` questions, and a step after every `each` of them; by what was the last step when they were sent."""
    phases: dict[str, Phase] = {"nothing": Phase()}
    now, sent = "nothing", 0
    left = iter(range(total))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one() -> None:
            nonlocal now, sent
            for _ in left:
                sent += 1
                if sent % each == 0 and steps:
                    now, step = steps.pop(0)
                    phases[now] = Phase()
                    await asyncio.to_thread(step)
                phase = phases[now]
                name, took = await ask(session, url)
                phase.counts[name] += 1
                phase.longest_s = max(phase.longest_s, took)

        await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    return phases


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--questions", type=int, default=1000)
    chosen = parser.parse_args()
    figures = describe()
    with FakeQdrant() as store, three_nodes() as (cluster, nodes):
        server = Server(config(store.url), "127.0.0.1", free_port())
        server.start()
        try:
            fill(server.url)
            steps = faults(cluster, nodes, store)
            phases = asyncio.run(run(server.url, steps, chosen.questions * 4 // 25, chosen.questions))
            after = httpx.post(f"{server.url}/v1/council", json={"question": question()}, timeout=60).json().get("status")
        finally:
            server.stop()
    bad = {name: n for phase in phases.values() for name, n in phase.counts.items() if name.startswith(("hung", "unclear", "500"))}
    longest = max(phase.longest_s for phase in phases.values())
    figures |= {
        "questions": sum(sum(p.counts.values()) for p in phases.values()), "deadline_s": DEADLINE_S, "longest_s": round(longest, 2),
        "phases": {name: dict(p.counts) | {"longest_s": round(p.longest_s, 2)} for name, p in phases.items()},
        "unclear": bad, "answers_after_all": after,
    }  # fmt: skip
    print(json.dumps(figures))
    raise SystemExit(1 if bad or longest > DEADLINE_S + SLACK_S or after != "answered" else 0)


def faults(cluster: Cluster, nodes: list[Any], store: FakeQdrant) -> list[tuple[str, Callable[[], None]]]:
    """What goes wrong, one after another; each step mends what the one before broke, where that does not mend itself."""
    paused: list[psutil.Process] = []

    def pause() -> None:
        paused.append(replicas(cluster, HOST)[0])
        paused[0].send_signal(signal.SIGSTOP)

    def stop_store() -> None:
        if paused[0].is_running():
            paused[0].send_signal(signal.SIGCONT)
        store.close()

    def lose_node() -> None:
        store.listen()
        cluster.remove_node(nodes[0], allow_graceful=False)

    return [
        ("a host killed", lambda: replicas(cluster, HOST)[0].kill()),
        ("a replica of the council killed", lambda: replicas(cluster, FRONT)[0].kill()),
        ("a host paused", pause),
        ("the store stopped", stop_store),
        ("a node lost", lose_node),
    ]


if __name__ == "__main__":
    main()
