"""What is recorded of requests: real files, shared, moved away, full, and no request that fails for it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from council.audit import AuditLog
from council.errors import ConfigError

ROOT = Path(__file__).parent.parent
FIELDS = ["time", "request_id", "key", "tenant", "route", "model", "status", "code", "seconds", "calls", "tokens", "passages"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def utf16(text: str) -> bytes:
    return text.encode("utf-16", "surrogatepass")


def test_a_line_says_who_asked_what_came_of_it(path: Path) -> None:
    noon = datetime(2030, 1, 31, 13, 0, 0, 1500, timezone(timedelta(hours=1)))
    for text in (False, True):
        log = AuditLog(path, text, lambda: noon)
        log.record(
            request_id="r1", route="/v1/council", code=200, seconds=0.1234567, key="0a1b2c3d", tenant="clinic", model="council",
            status="answered", calls=5, tokens=321, passages=("p1", "p2"), question="Who?", answer="Ada",
        )  # fmt: skip
        log.close()
    without, with_text = lines(path)
    assert list(without) == FIELDS and "Who?" not in str(without)
    assert without == {
        "time": "2030-01-31T12:00:00.001+00:00", "request_id": "r1", "key": "0a1b2c3d", "tenant": "clinic", "route": "/v1/council",
        "model": "council", "status": "answered", "code": 200, "seconds": 0.123457, "calls": 5, "tokens": 321, "passages": ["p1", "p2"],
    }  # fmt: skip
    assert with_text == without | {"question": "Who?", "answer": "Ada"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_without_a_path_nothing_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    log = AuditLog(None, text=True)
    log.record(request_id="r", route="/", code=200, seconds=0.0)
    log.close()
    assert os.listdir(tmp_path) == [] and log.lost == 0


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text() | st.text('\n\r\x00\x1b\x85\u2028\u2029\ud800\udfff"\\', max_size=20), min_size=1), seconds=st.floats())
def test_no_text_breaks_a_line(texts: list[str], seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = AuditLog(Path(folder) / "audit.jsonl", text=True)
        for text in texts:
            log.record(
                request_id=text, route=text, code=200, seconds=seconds, key=text, tenant=text, model=text, status=text,
                passages=(text, text), question=text, answer=text,
            )  # fmt: skip
        log.close()
        found = lines(Path(folder) / "audit.jsonl")
        for line, text in zip(found, texts, strict=True):  # two halves that make a surrogate pair come back as one character
            assert utf16(line["question"]) == utf16(line["passages"][1]) == utf16(line["key"]) == utf16(text)
        assert log.lost == 0
        written = (Path(folder) / "audit.jsonl").read_text("ascii")
        assert len(written.splitlines()) == len(texts)
        for one in written.splitlines():
            json.loads(one, parse_constant=pytest.fail)  # NaN, which is no JSON


def test_processes_and_threads_share_a_file(path: Path) -> None:
    code = (
        "import sys; from council.audit import AuditLog; log = AuditLog(sys.argv[1], True)\n"
        "for i in range(300): log.record(request_id=f'{sys.argv[2]}-{i}', route='/', code=200, seconds=0.0, question='x' * (i * 37))"
    )
    children = [subprocess.Popen([sys.executable, "-c", code, str(path), str(n)], cwd=ROOT) for n in range(3)]
    log = AuditLog(path, text=True)

    def write(n: int) -> None:
        for i in range(300):
            log.record(request_id=f"{n}-{i}", route="/", code=200, seconds=0.0, question="y" * (i * 37))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(3, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [child.wait(60) for child in children] == [0] * 3
    log.close()
    found = [line["request_id"] for line in lines(path)]
    assert len(found) == 1800 and set(found) == {f"{n}-{i}" for n in range(6) for i in range(300)}
    for n in range(6):
        assert [name for name in found if name.startswith(f"{n}-")] == [f"{n}-{i}" for i in range(300)]


def test_a_file_that_is_moved_away_is_followed_by_a_new_one(path: Path) -> None:
    log = AuditLog(path)

    def opened() -> int:
        return sum(os.path.realpath(f"/proc/self/fd/{fd}").startswith(str(path.with_suffix(""))) for fd in os.listdir("/proc/self/fd"))

    for n in range(6):
        log.record(request_id=str(n), route="/", code=200, seconds=0.0)
        if n == 1:
            path.rename(path.with_suffix(".1"))
        elif n == 3:
            path.unlink()
            path.touch(0o640)  # as a rotation may leave it
    assert [line["request_id"] for line in lines(path.with_suffix(".1"))] == ["0", "1"]
    assert [line["request_id"] for line in lines(path)] == ["4", "5"] and path.stat().st_mode & 0o777 == 0o640
    assert opened() == 1
    log.close()
    log.close()
    assert opened() == 0
    log.record(request_id="6", route="/", code=200, seconds=0.0)
    log.close()
    assert len(lines(path)) == 3


def test_a_full_disk_fails_no_request_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    log = AuditLog("/dev/full")
    log.check()
    for _ in range(5):
        log.record(request_id="r", route="/", code=200, seconds=0.0)
    log.close()
    assert log.lost == 5 and len(caplog.records) == 1 and "No space left on device" in caplog.text


def test_what_can_be_written_again_is_and_that_is_told(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    log = AuditLog(path.parent / "later" / "audit.jsonl")
    with pytest.raises(ConfigError, match=r"service\.audit: .* can't be written: No such file or directory"):
        log.check()
    for n in range(6):
        log.record(request_id=str(n), route="/", code=200, seconds=0.0)
        if n == 2:
            (path.parent / "later").mkdir()
    log.close()
    assert log.lost == 3 and [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert [line["request_id"] for line in lines(path.parent / "later" / "audit.jsonl")] == ["3", "4", "5"]


def test_a_line_that_was_cut_off_spoils_no_other(path: Path) -> None:
    code = (
        "import resource, sys; from council.audit import AuditLog; log = AuditLog(sys.argv[1])\n"
        "write = lambda name: log.record(request_id=name, route='/', code=200, seconds=0.0)\n"
        "write('first')\n"
        "_, most = resource.getrlimit(resource.RLIMIT_FSIZE); resource.setrlimit(resource.RLIMIT_FSIZE, (300, most))\n"
        "write('cut off'); write('lost')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)); write('next'); write('last'); print(log.lost)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True, check=True)
    first, cut, then, last, end = path.read_bytes().split(b"\n")
    assert [json.loads(line)["request_id"] for line in (first, then, last)] == ["first", "next", "last"]
    assert b"cut off" in cut and not cut.endswith(b"}") and end == b"" and done.stdout == "2\n"


def test_what_is_no_file_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    for path in (tmp_path, pipe, "\x00", tmp_path / ("x" * 300)):
        log = AuditLog(path)
        log.record(request_id="r", route="/", code=200, seconds=0.0)
        assert log.lost == 1
        with pytest.raises(ConfigError, match=r"service\.audit"):
            log.check()


def test_times_are_of_now(path: Path) -> None:
    log = AuditLog(path)
    log.record(request_id="r", route="/", code=200, seconds=0.0)
    log.close()
    assert abs((datetime.now(UTC) - datetime.fromisoformat(lines(path)[0]["time"])).total_seconds()) < 60
