"""The manifests: core kinds by Kubernetes' own schemas, RayServices by a schema of ours, Serve's config by Ray's, the council's by ours."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from council.config import CouncilConfig, load_config
from council.server import write_config
from tests.deploy.files import DEPLOY, read, read_all
from tests.deploy.rayservice import OWN_LABELS, RayService

KUBERNETES = "1.34"
SERVICES = {"one-gpu": "one-gpu.yaml", "many-gpus": "many-gpus.yaml"}
CORE = ["common.yaml", "qdrant.yaml"]
HERE: dict[str, Any] = {  # how the council of a cluster differs from its preset
    "retrieval.store.kind": "server",
    "retrieval.store.url": "http://council-qdrant:6333",
    "retrieval.store.api_key_env": "QDRANT_API_KEY",
    "retrieval.library": None,
    "service.replicas": 2,
    "service.autoscale_to": 4,
    "service.auth": "required",
    "service.keys": "/etc/council/keys/keys.json",
    "ray_address": None,
}
DOMAINS = ("medicine", "law", "finance", "physics", "computing")
OF_ONE: dict[str, dict[str, Any]] = {
    "one-gpu": {f"specialists.{d}.adapter": f"/models/adapters/{d}" for d in DOMAINS},
    "many-gpus": {},
}


def manifest(preset: str) -> Any:
    return read(f"kuberay/{SERVICES[preset]}")


def groups(preset: str) -> dict[str, Any]:
    """The head's group, and those of the workers by name."""
    cluster = manifest(preset)["spec"]["rayClusterConfig"]
    return {"head": cluster["headGroupSpec"]} | {g["groupName"]: g for g in cluster["workerGroupSpecs"]}


def every_group() -> list[Any]:
    return [pytest.param(group, id=f"{preset}-{name}") for preset in SERVICES for name, group in groups(preset).items()]


def environment(preset: str) -> list[Any]:
    """The environment that all of its pods have."""
    first, *others = [g["template"]["spec"]["containers"][0]["env"] for g in groups(preset).values()]
    assert all(other == first for other in others)
    return list(first)


def council_of(preset: str) -> CouncilConfig:
    (application,) = ServeDeploySchema.model_validate(yaml.safe_load(manifest(preset)["spec"]["serveConfigV2"])).applications
    return CouncilConfig.model_validate(application.args["config"])


def validate(thing: Any) -> None:
    pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    import_module("kubernetes_validate").validate(thing, KUBERNETES, strict=True)


@pytest.mark.parametrize(("file", "thing"), [(f, t) for f in CORE for t in read_all(f"kuberay/{f}")])
def test_core_kinds_are_valid(file: str, thing: Any) -> None:
    validate(thing)


def test_a_field_that_kubernetes_does_not_know_is_refused() -> None:
    (service, *_) = read_all("kuberay/qdrant.yaml")
    service["spec"]["prots"] = []
    with pytest.raises(Exception, match="prots"):
        validate(service)


def test_nothing_secret_is_in_a_manifest() -> None:
    files = [p.name for p in sorted((DEPLOY / "kuberay").glob("*.yaml"))]
    assert set(files) == {*CORE, *SERVICES.values(), "podmonitor.yaml"}
    assert not [t["kind"] for f in files for t in read_all(f"kuberay/{f}") if t["kind"] in ("Secret", "ConfigMap")]


@pytest.mark.parametrize("preset", SERVICES)
def test_a_rayservice_has_the_fields_that_kuberay_knows(preset: str) -> None:
    service = RayService.model_validate(manifest(preset))
    assert service.spec.rayClusterConfig.rayVersion == version("ray")
    for group in service.spec.rayClusterConfig.workerGroupSpecs:
        assert group.minReplicas <= group.replicas <= group.maxReplicas


@pytest.mark.parametrize("group", every_group())
def test_its_pods_are_pods(group: Any) -> None:
    validate({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "of-a-group"}, "template": group["template"]})
    assert not [k for k in group["template"]["metadata"]["labels"] if k.startswith(OWN_LABELS)]


@pytest.mark.parametrize("group", every_group())
def test_its_pods_are_guarded(group: Any) -> None:
    pod = group["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 10001  # the image's
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert {"cpu", "memory"} <= set(container["resources"]["requests"])
    assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]
    assert "readinessProbe" in container and "livenessProbe" in container


@pytest.mark.parametrize("group", every_group())
def test_its_pods_mount_what_they_declare_and_read_their_keys(group: Any) -> None:
    pod = group["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {m["name"]: m for m in container["volumeMounts"]}
    assert set(mounts) == {v["name"] for v in pod["volumes"]}
    assert mounts["keys"]["mountPath"] == "/etc/council/keys" and mounts["keys"]["readOnly"]
    assert {"/tmp", "/var/lib/council"} <= {m["mountPath"] for m in mounts.values()}  # what is written, where nothing else can be
    claims = {t["metadata"]["name"] for t in read_all("kuberay/common.yaml") if t["kind"] == "PersistentVolumeClaim"}
    assert {v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "persistentVolumeClaim" in v} <= claims
    env = {e["name"]: e for e in container["env"]}
    assert env["QDRANT_API_KEY"]["valueFrom"]["secretKeyRef"] == {"name": "council-secrets", "key": "qdrant-api-key"}


@pytest.mark.parametrize("preset", SERVICES)
def test_serve_takes_the_config(preset: str) -> None:
    deploy = ServeDeploySchema.model_validate(yaml.safe_load(manifest(preset)["spec"]["serveConfigV2"]))
    (application,) = deploy.applications
    assert set(application.args) == {"config"}


@pytest.mark.parametrize("preset", SERVICES)
def test_it_is_what_the_command_writes(preset: str, tmp_path: Path) -> None:
    """But for the environment, which pods have, and keys that have their defaults."""
    write_config(council_of(preset), "0.0.0.0", 8000, tmp_path / "serve.yaml")
    written, ours = yaml.safe_load((tmp_path / "serve.yaml").read_text()), yaml.safe_load(manifest(preset)["spec"]["serveConfigV2"])
    (application,), (own,) = written.pop("applications"), ours.pop("applications")
    assert application.pop("runtime_env")["env_vars"].items() <= {e["name"]: e.get("value") for e in environment(preset)}.items()
    assert CouncilConfig.model_validate(application["args"].pop("config")) == CouncilConfig.model_validate(own["args"].pop("config"))
    assert (written, application) == (ours, own)


@pytest.mark.parametrize("preset", SERVICES)
def test_the_council_is_that_of_the_preset(preset: str) -> None:
    """A preset that changes has to change here, too."""
    assert council_of(preset) == load_config(preset, HERE | OF_ONE[preset])


@pytest.mark.parametrize("preset", SERVICES)
def test_the_engines_fit_the_groups(preset: str) -> None:
    """At rest and at most, engine by engine: on a pod with as many GPUs as it takes."""
    wanted: dict[float, list[int]] = {}
    for engine in council_of(preset).engines:
        low, high = wanted.setdefault(engine.resources.num_gpus, [0, 0])
        resources = engine.resources
        wanted[resources.num_gpus] = [low + resources.replicas, high + (resources.autoscale_to or resources.replicas)]
    there = {}
    for group in groups(preset).values():
        (container,) = group["template"]["spec"]["containers"]
        gpus = int(container["resources"]["limits"].get("nvidia.com/gpu", 0))
        if gpus:
            there[float(gpus)] = [group["minReplicas"], group["maxReplicas"]]
            cpus = max(e.resources.num_cpus for e in council_of(preset).engines if e.resources.num_gpus == gpus)
            assert int(group["rayStartParams"]["num-cpus"]) >= cpus
    assert there == wanted


@pytest.mark.parametrize("preset", SERVICES)
def test_the_replicas_fit_their_group_and_the_head_works_on_nothing(preset: str) -> None:
    council, found = council_of(preset), groups(preset)
    assert found["head"]["rayStartParams"]["num-cpus"] == "0"
    group = found["service"]
    each = int(group["rayStartParams"]["num-cpus"]) // council.service.num_cpus
    assert group["template"]["spec"]["terminationGracePeriodSeconds"] > council.service.deadline_s
    assert council.service.replicas <= each * group["minReplicas"]
    assert (council.service.autoscale_to or 0) <= each * group["maxReplicas"]


def test_disruptions_and_policies_select_pods_that_are_there() -> None:
    labels = [g.values[0]["template"]["metadata"]["labels"] for g in every_group()]
    things = [t for f in CORE for t in read_all(f"kuberay/{f}")]
    labels += [t["spec"]["template"]["metadata"]["labels"] for t in things if t["kind"] == "StatefulSet"]
    selectors = [t["spec"]["selector"]["matchLabels"] for t in things if t["kind"] in ("PodDisruptionBudget", "StatefulSet")]
    selectors += [t["spec"]["selector"] for t in things if t["kind"] == "Service"]
    selectors += [t["spec"]["podSelector"]["matchLabels"] for t in things if t["kind"] == "NetworkPolicy"]
    selectors.append(read("kuberay/podmonitor.yaml")["spec"]["selector"]["matchLabels"])
    for selector in selectors:
        assert any(selector.items() <= pod.items() for pod in labels), selector


def test_disruption_budgets_are_of_the_form_that_kubernetes_takes_for_other_controllers() -> None:
    for thing in read_all("kuberay/common.yaml"):
        if thing["kind"] == "PodDisruptionBudget":
            assert isinstance(thing["spec"]["minAvailable"], int) and "maxUnavailable" not in thing["spec"]


def test_only_those_who_are_named_reach_ray_and_qdrant() -> None:
    policies = {t["metadata"]["name"]: t["spec"] for f in CORE for t in read_all(f"kuberay/{f}") if t["kind"] == "NetworkPolicy"}
    for policy in policies.values():
        assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
        assert all(rule.get("from") for rule in policy["ingress"])  # a rule without `from` lets everybody in
    (alone,) = policies["council-qdrant"]["ingress"]
    assert alone["ports"] == [{"protocol": "TCP", "port": 6333}]
    assert policies["council-qdrant"]["egress"] == []


def test_prometheus_finds_the_port_and_makes_the_job_of_the_rules() -> None:
    spec = read("kuberay/podmonitor.yaml")["spec"]
    for group in every_group():
        template = group.values[0]["template"]
        assert template["metadata"]["labels"][spec["jobLabel"]] == "council"
        ports = {p["name"]: p["containerPort"] for p in template["spec"]["containers"][0]["ports"]}
        assert ports[spec["podMetricsEndpoints"][0]["port"]] == 8080
        assert group.values[0]["rayStartParams"]["metrics-export-port"] == "8080"
