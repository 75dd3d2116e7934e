"""Keys in real files: made, found, revoked and shared by real processes."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from council.errors import KeysError
from council.keys import Grant, KeyRing, _holds, default_keys
from council.keys_commands import app

ROOT = Path(__file__).parent.parent
DAY = timedelta(days=1)
BROKEN = {
    "empty": b"",
    "no JSON": b"{",
    "no UTF-8": b"\xff\xfe",
    "no object": b"[]",
    "another format": b'{"format": 2, "keys": []}',
    "no format of ours": b'{"keys": [{"id": "x"}]}',
    "an unknown right": b'{"format": 1, "keys": [], "admin": true}',
    "very deep": b"[" * 100_000,
}


class Clock:
    """Seconds and a time of day that go on when told to."""

    def __init__(self) -> None:
        self.seconds, self.day = 100.0, datetime(2030, 1, 31, 12, tzinfo=UTC)

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return self.day


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def process(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Another process that has the keys as `ring`, of the file that the first argument names."""
    begin = "import os, sys; from council.keys import KeyRing; ring = KeyRing(sys.argv[1]); "
    command = [sys.executable, "-c", begin + code, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def outcome(code: str, *arguments: str) -> str:
    """What another process printed; it must not fail."""
    out, err = (child := process(code, *arguments)).communicate(timeout=60)
    assert child.returncode == 0, err
    return out


def test_a_key_opens_what_its_grant_allows(path: Path) -> None:
    ring = KeyRing(path)
    key, grant = ring.add("ann", tenant="clinic", models=("council",), documents="read", per_minute=5, expires_in=DAY)
    assert ring.find(key) == grant == KeyRing(str(path)).find(key)
    assert (grant.name, grant.tenant, grant.documents, grant.per_minute) == ("ann", "clinic", "read", 5)
    assert key.startswith(f"cs-{grant.id}-") and len(key) == 55
    assert ring.all() == [grant] and ring.check() == 1
    assert os.listdir(path.parent) == ["keys.json"] and path.stat().st_mode & 0o777 == 0o600


def test_the_secret_is_nowhere_but_in_the_key(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ring = KeyRing(path)
    key, grant = ring.add("ann")
    ring.find(key)
    with pytest.raises(KeysError) as none:
        KeyRing(path.parent / "other.json").revoke(key)
    path.write_text("{")
    assert KeyRing(path).find(key) is None
    secret = key.split("-", 2)[2]
    assert secret not in f"{grant!r} {ring!r} {caplog.text} {none.value}" and grant.digest not in repr(grant)


@pytest.mark.parametrize(
    ("models", "allowed", "refused"),
    [
        ((), "law council council/all anything", ""),
        (("council",), "council council/all council/cheapest", "law councils council-law Council"),
        (("council/all", "law"), "council/all law", "council council/cheapest law/eu physics"),
    ],
)
def test_models(path: Path, models: tuple[str, ...], allowed: str, refused: str) -> None:
    _, grant = KeyRing(path).add("ann", models=models)
    assert all(grant.allows(model) for model in allowed.split())
    assert not any(grant.allows(model) for model in refused.split())


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[KeyRing, str]:
    ring = KeyRing(tmp_path_factory.mktemp("keys") / "keys.json")
    return ring, ring.add("ann")[0]


@given(text=st.text() | st.text("cs-0123456789abcdef\x00\udcff\u0660", max_size=60) | st.from_regex(r"cs-[0-9a-f]{8}-[\w-]{43}"))
def test_no_text_makes_find_fail(kept: tuple[KeyRing, str], text: str) -> None:
    assert kept[0].find(text) is None


@given(at=st.integers(0, 54), other=st.characters())
def test_a_key_with_one_other_character_is_none(kept: tuple[KeyRing, str], at: int, other: str) -> None:
    ring, key = kept
    changed = key[:at] + other + key[at + 1 :]
    assert (ring.find(changed) is None) == (changed != key)


def test_huge_and_cut_off_keys_are_none(kept: tuple[KeyRing, str]) -> None:
    ring, key = kept
    began = time.perf_counter()
    for text in ("x" * 50_000_000, key * 1_000_000, key + "\n", key[:-1], "", "\x00", f" {key}", key.upper()):
        assert ring.find(text) is None
    assert time.perf_counter() - began < 5.0
    assert ring.find(key) is not None


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["add", "revoke", "revoke by id", "expire"]), st.sampled_from(["ann", "bo", "cy"])), max_size=12))
def test_a_ring_is_as_a_dictionary_is(steps: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock()
        ring, reader = (KeyRing(Path(folder) / "keys.json", clock, clock.now) for _ in range(2))
        live: dict[str, tuple[str, Grant]] = {}
        dead: list[str] = []
        for kind, name in steps:
            clock.seconds += 1.0
            if kind == "expire":
                clock.day += DAY
            elif (name in live) == (kind == "add"):
                with pytest.raises(KeysError, match=name):
                    ring.add(name) if kind == "add" else ring.revoke(name)
            elif kind == "add":
                live[name] = ring.add(name, expires_in=2 * DAY)
            else:
                key, grant = live.pop(name)
                assert ring.revoke(name if kind == "revoke" else grant.id) == grant
                dead.append(key)
            assert ring.all() == [grant for _, grant in live.values()]
            for key, grant in live.values():
                works = clock.day < datetime.fromisoformat(grant.expires or "")
                assert reader.find(key) == ring.find(key) == (grant if works else None)
            assert not any(reader.find(key) for key in dead)


def test_another_process_revokes_within_a_second(path: Path) -> None:
    clock = Clock()
    ring, serving = KeyRing(path), KeyRing(path, clock)
    key, _ = ring.add("ann")
    assert serving.find(key)
    outcome("ring.revoke('ann'); ring.add('bo')", str(path))
    clock.seconds += 0.9
    assert serving.find(key)  # the file is looked at once a second
    clock.seconds += 0.1
    assert serving.find(key) is None
    new, _ = ring.add("cy")
    assert serving.find(new) is None
    clock.seconds -= 50.0  # a clock that goes backwards holds nothing up
    assert serving.find(new)


def test_a_file_that_is_put_in_place_by_hand_is_read(path: Path) -> None:
    clock = Clock()
    serving = KeyRing(path, clock)
    key, _ = KeyRing(path).add("ann")
    assert serving.find(key)
    other = path.with_name("other.json")
    KeyRing(other).add("bob")
    about = path.stat()
    os.utime(other, ns=(about.st_atime_ns, about.st_mtime_ns))
    path.write_bytes(other.read_bytes())  # the same length, the same inode
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))  # and the same date
    clock.seconds += 1.0
    assert serving.find(key) is None


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_refuses_every_key_and_says_so_once(path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    serving = KeyRing(path, clock)
    key, _ = KeyRing(path).add("ann")
    good = path.read_bytes()
    assert serving.find(key)
    path.write_bytes(content)
    for _ in range(5):
        clock.seconds += 1.0
        assert serving.find(key) is None
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    with pytest.raises(KeysError, match="can't be read") as none:
        serving.all()
    with pytest.raises(KeysError, match="can't be read"):
        serving.add("bo")
    assert "\n" not in str(none.value) and len(str(none.value)) < 500 and path.read_bytes() == content
    path.write_bytes(good)
    clock.seconds += 1.0
    assert serving.find(key)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_a_file_that_vanishes_refuses_every_key(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    serving = KeyRing(path, clock)
    key, _ = KeyRing(path).add("ann")
    assert serving.find(key)
    path.unlink()
    for _ in range(5):
        clock.seconds += 1.0
        assert serving.find(key) is None
    assert len(caplog.records) == 1 and serving.all() == []
    with pytest.raises(KeysError, match="council keys add NAME"):
        serving.check()


def test_a_key_works_until_it_expires(path: Path) -> None:
    clock = Clock()
    ring = KeyRing(path, clock, clock.now)
    key, grant = ring.add("ann", expires_in=DAY)
    clock.day += DAY - timedelta(seconds=1)
    assert ring.find(key) == grant and not grant.expired(clock.day)
    clock.day += timedelta(seconds=1)
    assert ring.find(key) is None and ring.all() == [grant]
    with pytest.raises(KeysError, match=r"no key in .* works"):
        ring.check()


@pytest.mark.parametrize(
    "bad",
    [
        {"name": ""}, {"name": " ann"}, {"name": "a\nb"}, {"name": "\udcff"}, {"name": "x" * 201}, {"tenant": ""}, {"tenant": " "},
        {"models": ("",)}, {"per_minute": 0}, {"documents": "all"}, {"expires_in": timedelta(days=9_999_999)},
    ],
    ids=str,
)  # fmt: skip
def test_what_can_be_no_key(path: Path, bad: dict[str, object]) -> None:
    with pytest.raises(KeysError, match="no such key can be made") as none:
        KeyRing(path).add(**({"name": "ann"} | bad))  # type: ignore[arg-type]
    assert "\n" not in str(none.value) and os.listdir(path.parent) == []


def test_names_and_ids_are_distinct(path: Path) -> None:
    ring = KeyRing(path)
    _, ann = ring.add("ann")
    for taken in ("ann", ann.id):
        with pytest.raises(KeysError, match="already"):
            ring.add(taken)
    stored = json.loads(path.read_text())
    stored["keys"] *= 2
    path.write_text(json.dumps(stored))
    with pytest.raises(KeysError, match="more than one key"):
        ring.all()


def test_processes_that_add_at_once_lose_nothing(path: Path) -> None:
    KeyRing(path).add("first")
    code = "[print(ring.add(f'{sys.argv[2]}-{i}')[0]) for i in range(10)]; ring.add('x' + sys.argv[2]); ring.revoke('x' + sys.argv[2])"
    children = [process(code, str(path), str(n)) for n in range(4)]
    keys = [key for child in children for key in child.communicate(timeout=60)[0].split()]
    assert [child.returncode for child in children] == [0] * 4
    ring = KeyRing(path)
    assert {g.name for g in ring.all()} == {"first", *(f"{n}-{i}" for n in range(4) for i in range(10))}
    assert len(keys) == 40 and all(ring.find(key) for key in keys)
    assert os.listdir(path.parent) == ["keys.json"]


def test_one_of_those_that_want_a_name_gets_it(path: Path) -> None:
    ring, outcomes = KeyRing(path), list[str]()

    def add() -> None:
        try:
            outcomes.append(ring.add("ann")[0])
        except KeysError as exc:
            outcomes.append(str(exc))

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(bool(ring.find(text)) for text in outcomes) == len(ring.all()) == 1
    assert sum("already" in text for text in outcomes) == 7


def test_whoever_is_killed_in_a_change_leaves_a_whole_file(path: Path) -> None:
    ring = KeyRing(path)
    for n in range(4):
        child = process("[print(ring.add(f'{sys.argv[2]}-{i}')[0], flush=True) for i in range(10000)]", str(path), str(n))
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.05 + 0.013 * n)
        child.send_signal(signal.SIGKILL)
        told, _ = child.communicate(timeout=60)
        assert all(ring.find(key) for key in told.split() if len(key) == 55)
        ring.add(f"after {n}")
    assert {f"after {n}" for n in range(4)} <= {g.name for g in ring.all()}


def test_a_full_disk_changes_nothing(path: Path) -> None:
    ring = KeyRing(path)
    key, _ = ring.add("ann")
    before = path.read_bytes()
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))\n"
        "try: ring.add('bo')\nexcept Exception as exc: print(type(exc).__name__, exc)"
    )
    told = outcome(code, str(path))
    assert told.startswith("KeysError the keys in") and "File too large; they are as they were" in told
    assert path.read_bytes() == before and os.listdir(path.parent) == ["keys.json"] and ring.find(key)


def test_who_may_not_read_or_write_is_told(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:  # others may look into it, which they may not into pytest's
        os.chmod(folder, 0o755)
        path = Path(folder) / "keys.json"
        KeyRing(path).add("ann")
        path.chmod(0)
        os.chmod(folder, 0o555)
        code = (
            "os.geteuid() or os.setuid(65534)\n"
            "for call in (ring.all, lambda: ring.add('bo'), lambda: print(ring.find('cs-00000000-' + 43 * 'x'))):\n"
            "    try: call()\n    except Exception as exc: print(type(exc).__name__, exc)"
        )
        read, changed, found = outcome(code, str(path)).splitlines()
        assert read.startswith("KeysError") and read.endswith("can't be read: Permission denied")
        assert changed.startswith("KeysError") and "Permission denied" in changed and found == "None"
        os.chmod(folder, 0o755)


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    (tmp_path / "file").touch()
    for path in (tmp_path, pipe, tmp_path / "file" / "keys.json", "\x00", tmp_path / ("x" * 300)):
        ring = KeyRing(path)
        assert ring.find("cs-00000000-" + 43 * "x") is None
        for call in (ring.all, lambda ring=ring: ring.add("ann")):
            with pytest.raises(KeysError) as none:
                call()
            assert "\n" not in str(none.value)


def test_a_lock_that_is_never_given_back_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("council.keys.LOCKED_FOR_S", 0.2)
    lock = path.parent / ".keys.json.lock"
    code = "import fcntl, time; f = open(sys.argv[2], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); time.sleep(60)"
    holder = process(code, str(path), str(lock))
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(KeysError, match="another process has held"):
        KeyRing(path).add("ann")
    holder.kill()
    holder.communicate()
    assert KeyRing(path).add("ann")  # whoever ended has left its lock


def test_who_owns_the_file_and_which_group_reads_it_stay(path: Path) -> None:
    ring = KeyRing(path)
    ring.add("ann")
    path.chmod(0o644)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    before = path.stat()
    ring.add("bo")
    after = path.stat()
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid) and after.st_mode & 0o777 == 0o640


def test_a_link_stays_one(path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    key, _ = KeyRing(link).add("ann")
    assert link.is_symlink() and KeyRing(path).find(key)


def test_where_keys_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COUNCIL_KEYS", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/ann")
    assert default_keys() == Path("/home/ann/.config/council/keys.json")
    monkeypatch.setenv("XDG_CONFIG_HOME", "configs")  # which must be absolute, or counts for nothing
    assert default_keys() == Path("/home/ann/.config/council/keys.json")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/configs")
    assert default_keys() == Path("/configs/council/keys.json")
    monkeypatch.setenv("COUNCIL_KEYS", "/run/keys")
    assert default_keys() == Path("/run/keys")


def command(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        app(args=list(arguments))
    out, err = capfd.readouterr()
    return ended.value.code if isinstance(ended.value.code, int) else 0, out, err


def test_the_commands(path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    at = ("--keys", str(path))
    options = ("--models", "council, law", "--per-minute", "5", "--documents", "read", "--expires-in-days", "3", "--tenant", "clinic")
    status, out, err = command(capfd, "add", "ann", *options, *at)
    key = out.rstrip("\n")
    assert status == 0 and key not in err and "it is not shown again" in err
    grant = KeyRing(path).find(key)
    assert grant is not None and (grant.models, grant.per_minute, grant.tenant) == (("council", "law"), 5, "clinic")
    monkeypatch.setenv("COUNCIL_KEYS", str(path))
    status, out, _ = command(capfd, "list", "--json")
    [row] = json.loads(out)
    assert status == 0 and row == grant.model_dump(mode="json", exclude={"digest"}) | {"expired": False}
    _, out, _ = command(capfd, "list")
    assert "ann" in out and grant.digest[:8] not in out and key[12:20] not in out
    assert command(capfd, "revoke", "ann") == (0, f"key {grant.id} of ann is revoked\n", "")
    with pytest.raises(KeysError, match="'ann'"):
        app(args=["revoke", "ann"])
    for nothing in ("", " ,"):  # no models would mean all of them
        with pytest.raises(KeysError, match="names no model"):
            app(args=["add", "bo", "--models", nothing])
    assert command(capfd, "add", "bo", "--per-minute", "0")[0] == 2
    with pytest.raises(KeysError, match="too many"):
        app(args=["add", "bo", "--expires-in-days", str(10**12)])
    assert KeyRing(path).all() == []


def test_a_key_that_was_found_somewhere_revokes_itself(path: Path) -> None:
    ring = KeyRing(path)
    key, grant = ring.add("ann")
    assert ring.revoke(key) == grant and ring.all() == []
    with pytest.raises(KeysError) as none:
        ring.revoke(key)
    assert key[12:] not in str(none.value)


def test_a_lock_whose_file_is_gone_is_none(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with lock.open("w") as first, lock.open("w") as second:
        assert _holds(first.fileno(), lock) and not _holds(second.fileno(), lock)
        lock.unlink()  # as its holder does at the end
        first.close()
        assert not _holds(second.fileno(), lock)
        with lock.open("w") as third:
            assert _holds(third.fileno(), lock) and not _holds(second.fileno(), lock)
