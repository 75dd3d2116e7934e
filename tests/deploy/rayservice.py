"""A small schema of KubeRay's RayService, as far as this project uses it; pods in it are checked by Kubernetes' own.

Written by hand from the fields of ray.io/v1 (KubeRay 1.5): it is this project's, not KubeRay's, and knows fewer fields.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class HeadGroup(_Strict):
    rayStartParams: dict[str, str]
    template: dict[str, Any]


class WorkerGroup(_Strict):
    groupName: str = Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
    replicas: int = Field(ge=0)
    minReplicas: int = Field(ge=0)
    maxReplicas: int = Field(ge=1)
    rayStartParams: dict[str, str]
    template: dict[str, Any]


class AutoscalerOptions(_Strict):
    idleTimeoutSeconds: int = Field(ge=0)
    upscalingMode: Literal["Default", "Aggressive", "Conservative"]
    resources: dict[str, dict[str, str]]
    securityContext: dict[str, Any]


class RayClusterSpec(_Strict):
    rayVersion: str
    enableInTreeAutoscaling: bool
    autoscalerOptions: AutoscalerOptions
    headGroupSpec: HeadGroup
    workerGroupSpecs: list[WorkerGroup]


class UpgradeStrategy(_Strict):
    type: Literal["NewCluster", "None"]


class RayServiceSpec(_Strict):
    serveConfigV2: str
    rayClusterConfig: RayClusterSpec
    upgradeStrategy: UpgradeStrategy
    excludeHeadPodFromServeSvc: bool
    rayClusterDeletionDelaySeconds: int = Field(60, ge=0)


class Metadata(_Strict):
    name: str = Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=47)
    labels: dict[str, str]


class RayService(_Strict):
    apiVersion: Literal["ray.io/v1"]
    kind: Literal["RayService"]
    metadata: Metadata
    spec: RayServiceSpec


OWN_LABELS: Final = ("ray.io/", "app.kubernetes.io/name", "app.kubernetes.io/created-by")
"""Labels of pods that the operator sets itself."""
