"""compose.yaml: by the Compose specification's own schema, and by what this project asks of it."""

from __future__ import annotations

import importlib
import json
import re
from importlib.resources import files
from typing import Any

import pytest

from council.config import load_config
from tests.deploy.files import DEPLOY, ROOT, read

SERVICES = ("council", "tools", "qdrant", "prometheus", "grafana")


@pytest.fixture(scope="module")
def compose() -> Any:
    return read("compose.yaml")


def test_it_is_valid_by_the_specification(compose: Any) -> None:
    schemas = files(pytest.importorskip("check_jsonschema", reason="check-jsonschema brings the schema"))
    schema = json.loads((schemas / "builtin_schemas" / "vendor" / "compose-spec.json").read_text("utf-8"))
    jsonschema = importlib.import_module("jsonschema")
    jsonschema.validate(compose, schema)


def test_the_services_are_these(compose: Any) -> None:
    assert set(compose["services"]) == set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_limited_and_guarded(compose: Any, name: str) -> None:
    service = compose["services"][name]
    assert re.search(r":v?\d+\.\d+\.\d+", service["image"]), service["image"]
    limits = service["deploy"]["resources"]["limits"]
    assert {"cpus", "memory", "pids"} <= set(limits)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service and "user" not in service  # each image has a user of its own
    if name != "tools":
        assert service["healthcheck"]["test"][0] == "CMD"
        assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_bound_to_this_machine(compose: Any, name: str) -> None:
    """The service's own by default; .env may open it."""
    for port in compose["services"][name].get("ports", []):
        address = "${COUNCIL_BIND:-127.0.0.1}:" if name == "council" else "127.0.0.1:"
        assert port.startswith(address), port


def test_what_is_mounted_from_here_is_there_and_can_not_be_written(compose: Any) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source, target, *mode = volume.replace("${DOCUMENTS:-./documents}", "./documents").split(":")
            if source.startswith("."):
                assert mode == ["ro"], volume
                assert source == "./documents" or (DEPLOY / source).exists(), volume
            else:
                assert source in compose["volumes"], volume
            assert target.startswith("/")


def test_the_service_reads_its_keys_and_can_not_change_them(compose: Any) -> None:
    assert "keys:/etc/council/keys:ro" in compose["services"]["council"]["volumes"]
    assert "keys:/etc/council/keys" in compose["services"]["tools"]["volumes"]
    assert compose["services"]["tools"]["profiles"] == ["tools"]  # it is no service


def test_every_network_and_volume_is_used(compose: Any) -> None:
    services = compose["services"].values()
    assert {n for s in services for n in s["networks"]} == set(compose["networks"])
    assert {v.split(":")[0] for s in services for v in s["volumes"] if not v.startswith((".", "$"))} == set(compose["volumes"])


def test_grafana_and_prometheus_do_not_reach_the_documents(compose: Any) -> None:
    qdrant = set(compose["services"]["qdrant"]["networks"])
    for name in ("prometheus", "grafana"):
        assert not qdrant & set(compose["services"][name]["networks"])


def test_the_example_names_every_variable_and_no_secret() -> None:
    text = (DEPLOY / "compose.yaml").read_text("utf-8")
    wanted = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", text))
    given = dict(line.split("=", 1) for line in (DEPLOY / ".env.example").read_text().splitlines() if line and not line.startswith("#"))
    assert set(given) <= wanted
    assert wanted - set(given) == {"DOCUMENTS"}
    assert given["QDRANT_API_KEY"] == "" and given["GRAFANA_PASSWORD"] == ""
    for secret in ("QDRANT_API_KEY", "GRAFANA_PASSWORD"):
        assert f"${{{secret}:?" in text  # nothing starts without one


def test_no_environment_of_secrets_can_be_committed() -> None:
    assert not (DEPLOY / ".env").exists() or "deploy/.env" in (ROOT / ".gitignore").read_text()


def test_the_council_of_it_is_a_council(compose: Any) -> None:
    config = load_config(DEPLOY / "council.yaml")
    service = compose["services"]["council"]
    assert config.retrieval.store.kind == "server"
    assert config.retrieval.store.url == "http://qdrant:6333"
    assert config.retrieval.store.api_key_env in service["environment"]
    assert config.service.auth == "required" and config.service.keys == "/etc/council/keys/keys.json"
    assert config.service.audit is not None and config.service.audit.startswith("/var/lib/council/")
    assert "./council.yaml:/etc/council/council.yaml:ro" in service["volumes"]
    assert service["command"][:3] == ["serve", "--config", "/etc/council/council.yaml"]
    assert {s.name for s in config.specialists} == {s.name for s in load_config("pocket").specialists}
