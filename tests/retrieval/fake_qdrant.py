"""A small Qdrant server in memory, for tests: as much of its REST API as the store asks for, with scores computed for real.

What the real one does and stores rely on: aliases stand for collections in every path, a collection and an alias can't share a
name, deleting a collection deletes its aliases, cosine vectors are normalized as they are written, IDF is that of the whole
collection, points come in the order of their ids. Anything that is not known here is refused, not ignored.
"""

from __future__ import annotations

import json
import math
import re
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import numpy as np

Json = dict[str, Any]


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status


@dataclass(frozen=True)
class Request:
    """What came in."""

    method: str
    path: str
    query: str
    body: Json
    headers: dict[str, str]


@dataclass
class Fault:
    """What is done to requests instead of answering, or before: `status` None drops the connection."""

    path: str
    status: int | None
    times: int
    headers: dict[str, str]
    after: bool
    text: str


@dataclass
class Points:
    """A collection."""

    config: Json
    points: dict[str, Json] = field(default_factory=dict)
    indexes: dict[str, Json] = field(default_factory=dict)


class FakeQdrant:
    """Listens from the start until it is closed; a context manager."""

    def __init__(self, metadata: bool = True) -> None:
        self.collections: dict[str, Points] = {}
        self.aliases: dict[str, str] = {}
        self.requests: list[Request] = []
        self.before: list[tuple[str, Callable[[], None]]] = []
        """(path, what is done once, before a request to it is answered)"""
        self._metadata = metadata
        self._faults: list[Fault] = []
        self._delays: list[tuple[str, float]] = []
        self._lock = threading.RLock()
        self._port = 0
        self.listen()
        self.url = f"http://127.0.0.1:{self._port}"

    def listen(self) -> None:
        """Answer requests, after `close` again: with what it had, at the same address."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), _handler(self))
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def fail(
        self, path: str, status: int | None = 503, times: int = 1, headers: dict[str, str] | None = None, after: bool = False,
        text: str = "injected",
    ) -> None:  # fmt: skip
        """Fail the next `times` requests whose "METHOD /path" matches; `after` they were carried out."""
        self._faults.append(Fault(path, status, times, headers or {}, after, text))

    def heal(self) -> None:
        """Fail no more."""
        self._faults.clear()

    def delay(self, path: str, seconds: float) -> None:
        """Answer these requests later, from now on."""
        self._delays.append((path, seconds))

    def sent(self, path: str) -> list[Request]:
        """What came in to paths that match "METHOD /path"."""
        return [r for r in self.requests if re.search(path, f"{r.method} {r.path}")]

    def target(self, alias: str) -> Points:
        """The collection that an alias or a name stands for."""
        return self.collections[self.aliases.get(alias, alias)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def answer(self, request: Request) -> tuple[int | None, dict[str, str], bytes]:
        """The status (None: no answer at all), headers, and body."""
        line = f"{request.method} {request.path}"
        with self._lock:
            self.requests.append(request)
            hooks = [hook for hook in self.before if re.search(hook[0], line)]
            for hook in hooks:
                self.before.remove(hook)
            fault = next((f for f in self._faults if f.times > 0 and re.search(f.path, line)), None)
            if fault is not None:
                fault.times -= 1
        for _, work in hooks:
            work()
        for path, seconds in self._delays:
            if re.search(path, line):
                time.sleep(seconds)
        if fault is not None and not fault.after:
            return fault.status, fault.headers, _error(fault.text)
        with self._lock:
            try:
                result = self._result(request)
            except Refused as exc:
                return exc.status, {}, _error(str(exc))
        if fault is not None:
            return fault.status, fault.headers, _error(fault.text)
        return 200, {}, json.dumps({"result": result, "status": "ok", "time": 0.0}).encode()

    def _result(self, request: Request) -> Any:
        body = request.body
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["aliases"]:
                return {"aliases": [{"alias_name": a, "collection_name": c} for a, c in self.aliases.items()]}
            case "POST", ["collections", "aliases"]:
                return self._change_aliases(body["actions"])
            case "GET", ["collections"]:
                return {"collections": [{"name": name} for name in self.collections]}
            case "GET", ["collections", name]:
                return _info(self._find(name))
            case "PUT", ["collections", name]:
                return self._create(name, body)
            case "PATCH", ["collections", name]:
                self._find(name).config |= {k: v for k, v in body.items() if v is not None}
                return True
            case "DELETE", ["collections", name]:
                self.aliases = {a: c for a, c in self.aliases.items() if c != name}
                return self.collections.pop(name, None) is not None
            case "PUT", ["collections", name, "index"]:
                self._find(name).indexes[body["field_name"]] = body["field_schema"]
                return _done()
            case "PUT", ["collections", name, "points"]:
                return _upsert(self._find(name), body["points"])
            case "POST", ["collections", name, "points"]:
                stored = self._find(name).points
                return [_shown(stored[i], body) for i in map(_check_id, body["ids"]) if i in stored]
            case "POST", ["collections", name, "points", "scroll"]:
                return _scroll(self._find(name), body)
            case "POST", ["collections", name, "points", "count"]:
                return {"count": len(_seen(self._find(name), body.get("filter")))}
            case "POST", ["collections", name, "points", "delete"]:
                stored = self._find(name).points
                gone = body["points"] if "points" in body else [p["id"] for p in _seen(self._find(name), body["filter"])]
                for i in gone:
                    stored.pop(i, None)
                return _done()
            case "POST", ["collections", name, "points", "query", "batch"]:
                return [{"points": _query(self._find(name), search)} for search in body["searches"]]
        raise Refused(404, "")

    def _find(self, name: str) -> Points:
        found = self.collections.get(self.aliases.get(name, name))
        if found is None:
            raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
        return found

    def _create(self, name: str, config: Json) -> bool:
        if name in self.collections:
            raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
        if name in self.aliases:
            raise Refused(400, f"Wrong input: Can't create collection with name {name}. Alias with the same name already exists")
        if not self._metadata:
            config = {**config, "metadata": None}
        self.collections[name] = Points(config)
        return True

    def _change_aliases(self, actions: list[Json]) -> bool:
        for action in actions:
            match action:
                case {"delete_alias": {"alias_name": alias}}:
                    self.aliases.pop(alias, None)
                case {"create_alias": {"alias_name": alias, "collection_name": name}}:
                    if name not in self.collections:
                        raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
                    if alias in self.collections:
                        raise Refused(409, f"Wrong input: Collection `{alias}` already exists!")
                    self.aliases[alias] = name
                case _:
                    raise Refused(400, f"unknown alias operation {action}")
        return True


def _handler(fake: FakeQdrant) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(size)) if size else {}
            path, _, query = self.path.partition("?")
            request = Request(self.command, path, query, body, {k.lower(): v for k, v in self.headers.items()})
            status, headers, data = fake.answer(request)
            if status is None:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = handle_any

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def _error(text: str) -> bytes:
    return json.dumps({"status": {"error": text}, "time": 0.0}).encode()


def _done() -> Json:
    return {"operation_id": 0, "status": "completed"}


def _info(stored: Points) -> Json:
    config = stored.config
    named = {k: v for k, v in (config.get("vectors") or {}).items()}
    made: Json = {
        "params": {"vectors": named, "sparse_vectors": config.get("sparse_vectors")},
        "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000},
        "optimizer_config": {
            "deleted_threshold": 0.2, "vacuum_min_vector_number": 1000, "default_segment_number": 0, "flush_interval_sec": 5,
        },
        "quantization_config": config.get("quantization_config"), "metadata": config.get("metadata"),
    }  # fmt: skip
    schema = {k: {"data_type": "keyword", "params": v, "points": len(stored.points)} for k, v in stored.indexes.items()}
    return {
        "status": "green", "optimizer_status": "ok", "segments_count": 1, "config": made, "payload_schema": schema,
        "points_count": len(stored.points),
    }  # fmt: skip


def _check_id(id: Any) -> str:
    try:
        return str(uuid.UUID(id))
    except (ValueError, TypeError, AttributeError):
        raise Refused(400, f"value {id} is not a valid point ID") from None


def _upsert(stored: Points, points: list[Json]) -> Json:
    dense, sparse = stored.config.get("vectors") or {}, stored.config.get("sparse_vectors") or {}
    made = {}
    for point in points:
        vectors: Json = {}
        for name, vector in point["vector"].items():
            if name in sparse:
                vectors[name] = {"indices": vector["indices"], "values": vector["values"]}
            elif name in dense:
                vectors[name] = _normalized(vector, dense[name]["size"])
            else:
                raise Refused(400, f"Wrong input: Not existing vector name error: {name}")
        made[_check_id(point["id"])] = {"id": _check_id(point["id"]), "vector": vectors, "payload": point.get("payload") or {}}
    stored.points |= made
    return _done()


def _normalized(vector: list[float], size: int) -> list[float]:
    if len(vector) != size:
        raise Refused(400, f"Wrong input: Vector dimension error: expected dim: {size}, got {len(vector)}")
    row = np.asarray(vector, np.float32)
    return [float(x) for x in row / (np.linalg.norm(row) or 1.0)]


def _seen(stored: Points, wanted: Json | None) -> list[Json]:
    """Points that the filter lets through, in the order of their ids."""
    points = [stored.points[id] for id in sorted(stored.points)]
    wanted = wanted or {}
    strange = {key for key, value in wanted.items() if value} - {"must", "must_not"}
    if strange:
        raise Refused(400, f"unknown filter {strange}")
    must, never = wanted.get("must") or [], wanted.get("must_not") or []
    return [p for p in points if all(_holds(c, p) for c in must) and not any(_holds(c, p) for c in never)]


def _holds(condition: Json, point: Json) -> bool:
    given = {key: value for key, value in condition.items() if value is not None}
    match given:
        case {"has_id": ids, **rest} if not rest:
            return point["id"] in ids
        case {"key": key, "match": {"value": value}, **rest} if not rest:
            return bool(point["payload"].get(key) == value)
        case {"key": key, "match": {"any": values}, **rest} if not rest:
            return point["payload"].get(key) in values
    raise Refused(400, f"unknown condition {condition}")


def _shown(point: Json, asked: Json) -> Json:
    payload, vectors = asked.get("with_payload"), asked.get("with_vector")
    shown: Json = {"id": point["id"]}
    if payload:
        shown["payload"] = {k: v for k, v in point["payload"].items() if payload is True or k in payload}
    if vectors:
        shown["vector"] = {k: v for k, v in point["vector"].items() if vectors is True or k in vectors}
    return shown


def _scroll(stored: Points, asked: Json) -> Json:
    points = [p for p in _seen(stored, asked.get("filter")) if asked.get("offset") is None or p["id"] >= asked["offset"]]
    page, rest = points[: asked["limit"]], points[asked["limit"] :]
    return {"points": [_shown(p, asked) for p in page], "next_page_offset": rest[0]["id"] if rest else None}


def _query(stored: Points, search: Json) -> list[Json]:
    query, using = search["query"]["nearest"], search["using"]
    seen = [p for p in _seen(stored, search.get("filter")) if using in p["vector"]]
    if using in (stored.config.get("sparse_vectors") or {}):
        scores = _sparse_scores(stored, query, using, seen)
    elif using in (stored.config.get("vectors") or {}):
        row = np.asarray(_normalized(query, stored.config["vectors"][using]["size"]), np.float32)
        scores = [float(np.dot(row, np.asarray(p["vector"][using], np.float32))) for p in seen]
    else:
        raise Refused(400, f"Wrong input: Not existing vector name error: {using}")
    ranked = sorted(((s, p["id"]) for s, p in zip(scores, seen, strict=True) if s is not None), key=lambda x: (-x[0], x[1]))
    return [{"id": id, "version": 0, "score": score} for score, id in ranked[: search["limit"]]]


def _sparse_scores(stored: Points, query: Json, using: str, seen: list[Json]) -> list[float | None]:
    """The dot product, with the query's terms weighted by their inverse document frequency; None without a term in common."""
    documents = [set(p["vector"][using]["indices"]) for p in stored.points.values() if using in p["vector"]]
    weights = {}
    for index, value in zip(query["indices"], query["values"], strict=True):
        among = sum(index in document for document in documents)
        weights[index] = value * math.log(1 + (len(documents) - among + 0.5) / (among + 0.5))
    scores: list[float | None] = []
    for point in seen:
        vector = dict(zip(point["vector"][using]["indices"], point["vector"][using]["values"], strict=True))
        common = weights.keys() & vector.keys()
        scores.append(sum(weights[i] * vector[i] for i in common) if common else None)
    return scores
