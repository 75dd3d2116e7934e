"""`council serve`: who is asked for a key, what it writes for Serve, and its life as a process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from council import CouncilConfig
from council.errors import ConfigError, StartError
from council.keys import KeyRing
from council.serve import APPLICATION, BuildArgs, application, merged, with_auth
from council.server import check_port, decide_auth, is_loopback, write_config
from tests.conftest import MEMBERS, scripted_config
from tests.serving import free_port, serving


def config(folder: Path, **service: Any) -> CouncilConfig:
    tree = scripted_config({m: {"": "Ada Trell"} for m in MEMBERS}) | {"retrieval": {"store": {"path": str(folder / "store")}}}
    return CouncilConfig.model_validate(tree | {"service": {"keys": str(folder / "keys.json"), **service}})


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("council.org", False),
    ],
)
def test_which_addresses_are_this_machines_alone(host: str, alone: bool) -> None:
    assert is_loopback(host) is alone


def test_no_other_address_without_a_key(tmp_path: Path) -> None:
    free = CouncilConfig.model_validate({**config(tmp_path).model_dump(), "service": {}})
    assert decide_auth(free, "127.0.0.1", open_to_all=False).service.auth == "off"
    with pytest.raises(ConfigError, match=r"0\.0\.0\.0 asks for keys: .*council keys add NAME.*--open"):
        decide_auth(config(tmp_path), "0.0.0.0", open_to_all=False)
    assert decide_auth(config(tmp_path), "0.0.0.0", open_to_all=True).service.auth == "off"
    with pytest.raises(ConfigError, match=r"0\.0\.0\.0 is reached from elsewhere"):
        decide_auth(config(tmp_path, auth="off"), "0.0.0.0", open_to_all=False)
    KeyRing(tmp_path / "keys.json").add("desk")
    for host in ("0.0.0.0", "127.0.0.1"):  # a file of keys that is named is meant
        assert decide_auth(config(tmp_path), host, open_to_all=False).service.auth == "required"


def test_what_is_written_for_serve_is_this_council(tmp_path: Path) -> None:
    decided = with_auth(config(tmp_path), required=True)
    write_config(decided, "0.0.0.0", 8000, tmp_path / "serve.yaml")
    tree = yaml.safe_load((tmp_path / "serve.yaml").read_text())
    (app,) = tree["applications"]
    assert CouncilConfig.model_validate(BuildArgs.model_validate(app["args"]).config) == decided
    assert tree["http_options"] == {"host": "0.0.0.0", "port": 8000}
    with pytest.raises(ConfigError, match=r"missing/serve\.yaml can't be written: No such file or directory"):
        write_config(decided, "0.0.0.0", 8000, tmp_path / "missing" / "serve.yaml")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["serve.yaml"]


def test_an_embedded_store_has_one_replica(tmp_path: Path) -> None:
    for service in ({"replicas": 2}, {"autoscale_to": 3}):
        with pytest.raises(ValueError, match="an embedded store is open in one process"):
            config(tmp_path, **service)


def test_a_port_in_use_is_told_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"127\.0\.0\.1:{port} can't be listened on .* --port"):
            check_port("127.0.0.1", port)
    check_port("127.0.0.1", free_port())


def test_metrics_of_several_nodes_are_one_text() -> None:
    one = '# HELP ray_council_questions_total Q.\n# TYPE ray_council_questions_total counter\nray_council_questions_total{node="a"} 1.0\n'
    other = "# HELP ray_tasks T.\n# TYPE ray_tasks gauge\nray_tasks 3.0\n"
    text = merged([one + other, one.replace('"a"', '"b"')])
    assert text.splitlines() == [
        "# HELP ray_council_questions_total Q.", "# TYPE ray_council_questions_total counter",
        'ray_council_questions_total{node="a"} 1.0', 'ray_council_questions_total{node="b"} 1.0',
    ]  # fmt: skip
    assert merged([]) == ""


def test_an_update_loses_no_question(ray_session: None, tmp_path: Path) -> None:
    """The council is deployed anew, with another threshold, while questions are asked."""
    from ray import serve

    tree = config(tmp_path, num_cpus=0.1).model_dump(mode="json")
    statuses: list[tuple[int, str]] = []
    over = threading.Event()

    def ask(url: str) -> None:
        with httpx.Client(timeout=60) as client:
            while not over.is_set():
                reply = client.post(f"{url}/v1/council", json={"question": "Who keeps the Varn light?"})
                statuses.append((reply.status_code, reply.text[:100]))

    with serving(tree) as url:
        askers = [threading.Thread(target=ask, args=(url,)) for _ in range(3)]
        for asker in askers:
            asker.start()
        time.sleep(1.0)
        changed = tree | {"aggregator": tree["aggregator"] | {"min_agreement": 0.75}}
        serve.run(application(with_auth(CouncilConfig.model_validate(changed), False)), name=APPLICATION, route_prefix="/")
        assert httpx.get(f"{url}/v1/info", timeout=60).json()["min_agreement"] == 0.75
        time.sleep(1.0)
        over.set()
        for asker in askers:
            asker.join()
    assert len(statuses) > 10 and {code for code, _ in statuses} == {200}, {s for s in statuses if s[0] != 200}


@pytest.mark.slow
def test_at_sigterm_what_is_asked_is_answered(tmp_path: Path) -> None:
    tree = scripted_config({m: {"": "Ada Trell"} for m in MEMBERS}, delay_s=3.0) | {"retrieval": {"store": {"path": str(tmp_path / "s")}}}
    (tmp_path / "council.yaml").write_text(yaml.safe_dump(tree | {"service": {"num_cpus": 0.1}}))
    port = free_port()
    command = [sys.executable, "-m", "council.cli", "serve", "--config", str(tmp_path / "council.yaml"), "--port", str(port)]
    alone = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=alone)
    try:
        assert process.stdout is not None and f"http://127.0.0.1:{port}" in process.stdout.readline()
        replies: list[httpx.Response] = []
        url = f"http://127.0.0.1:{port}/v1/council"
        asker = threading.Thread(target=lambda: replies.append(httpx.post(url, json={"question": "Who keeps it?"}, timeout=60)))
        asker.start()
        time.sleep(1.0)
        process.send_signal(signal.SIGTERM)
        asker.join()
        assert [r.status_code for r in replies] == [200] and replies[0].json()["answer"] == "Ada Trell"
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()
