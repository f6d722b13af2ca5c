"""What the framework needs of a mesh: the protocol that drivers implement (entry-point group meshtest.meshes)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from meshtest.environment import Environment

Obj = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """One version of an object of the cluster, or (absent=True) the fact that it is gone."""

    cluster: str
    group: str
    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    absent: bool = False

    @classmethod
    def of(cls, cluster: str, obj: Obj, *, absent: bool = False) -> "ObjectRef":
        """The reference to what the API server answered."""
        meta = obj["metadata"]
        group, _, _ = str(obj["apiVersion"]).rpartition("/")
        return cls(
            cluster=cluster,
            group=group,
            kind=str(obj["kind"]),
            namespace=str(meta.get("namespace", "")),
            name=str(meta["name"]),
            uid=str(meta.get("uid", "")),
            resource_version=str(meta.get("resourceVersion", "")),
            absent=absent,
        )

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {where}{self.name}" + (" (deleted)" if self.absent else "")


@dataclass(frozen=True, slots=True)
class PodRef:
    """A pod of one cluster."""

    cluster: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class AccessLogLine:
    """One proxy's line about one request. `fields` has Istio's JSON names: route_name, upstream_cluster …"""

    pod: PodRef
    fields: Mapping[str, Any]

    def __str__(self) -> str:
        shown = " ".join(f"{key}={value}" for key, value in self.fields.items() if value not in (None, "", "-"))
        return f"{self.pod.namespace}/{self.pod.name}: {shown}"


@dataclass(frozen=True, slots=True)
class Settled:
    """The outcome of a wait that held: the proxies concerned by name, and how long the mesh took, in milliseconds."""

    concerned: tuple[str, ...] = ()
    elapsed_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Profile:
    """How a mesh is to be installed; the driver adds its own defaults. Hashable, so that equal wishes share a mesh."""

    name: str = "default"
    mesh_config: tuple[tuple[str, str], ...] = field(default=())  # dotted path -> JSON text


DEFAULT_PROFILE = Profile()


class Mesh(Protocol):
    """A driver of the mesh under test. Blocking calls, safe from several threads.

    capabilities: names that tests may require (`mtls`, `faults`, `sidecar`, …).
    dialects: API families that its config speaks (`istio`, `gateway-api`).
    root_namespace: where objects count for the whole mesh.
    """

    @property
    def name(self) -> str: ...
    @property
    def capabilities(self) -> frozenset[str]: ...
    @property
    def dialects(self) -> frozenset[str]: ...
    @property
    def root_namespace(self) -> str: ...

    def attach(self, environment: Environment) -> None:
        """Work on this environment, where the mesh is installed or will be."""

    def close(self) -> None:
        """Let go of connections and watches; the mesh stays as it is. Idempotent."""

    def install(self, profile: Profile = DEFAULT_PROFILE) -> None:
        """Install on every cluster of the environment and return when workloads can be injected."""

    def uninstall(self) -> None:
        """Remove what install made."""

    def reconfigure(self, mesh_config: Mapping[str, Any]) -> None:
        """Change mesh-wide settings in place and wait until they hold everywhere."""

    def namespace_labels(self) -> Mapping[str, str]:
        """Labels that enrol a namespace's workloads in the mesh."""

    def settle(self, objects: Sequence[ObjectRef], *, timeout_s: float = 10.0) -> Settled:
        """Return when every proxy concerned by these objects works with them. Errors: NotSettled."""

    def access_log(self, request_id: str, pods: Sequence[PodRef]) -> list[AccessLogLine]:
        """What the proxies of these pods logged about the request, in the order of `pods`."""

    def identity(self, namespace: str, service_account: str) -> str:
        """The peer identity of a workload, such as spiffe://cluster.local/ns/x/sa/y."""

    def dump(self, pods: Sequence[PodRef], directory: Path) -> None:
        """Write what explains a failure: proxies' config, control-plane pages. Bounded; survives a pod's error."""
