"""Services and workloads as the rest of the control plane sees them.

Models compare by identity: one object stays the same object for as long as nothing about it changes, which makes
"has it changed" and cache keys a pointer comparison.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from reference.controlplane.registry.protocol import Protocol

Obj = dict[str, Any]
"""A Kubernetes object as JSON."""
Key = tuple[str, str]
"""(namespace, name); the namespace is empty for cluster-wide objects."""


@dataclass(frozen=True, slots=True)
class Locality:
    region: str = ""
    zone: str = ""
    subzone: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.region, self.zone, self.subzone) if part)


@dataclass(frozen=True, slots=True)
class Port:
    name: str
    number: int
    protocol: Protocol
    target: int | str
    """Number of the workload's port, or the name of its container port."""


class Resolution(Enum):
    STATIC = "static"
    """Endpoints are known: load balanced by the proxy."""
    PASSTHROUGH = "passthrough"
    """Headless: the client has chosen the address already."""
    DNS = "dns"
    """Another name stands for it (ExternalName)."""


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    hostname: str
    name: str
    namespace: str
    ports: tuple[Port, ...]
    vips: tuple[str, ...]
    resolution: Resolution
    selector: Mapping[str, str]
    labels: Mapping[str, str]
    created: str
    export_to: tuple[str, ...] = ()
    """Namespaces, `.` for its own, `*` for all, `~` for none; empty means the mesh's default."""
    external_name: str = ""
    publish_not_ready: bool = False
    affinity: str = "None"

    @property
    def headless(self) -> bool:
        return self.resolution is Resolution.PASSTHROUGH

    @property
    def key(self) -> Key:
        return self.namespace, self.name

    def port(self, number: int) -> Port | None:
        return next((port for port in self.ports if port.number == number), None)


@dataclass(frozen=True, slots=True)
class Workload:
    """One pod. Compares by value, so that a status update without meaning for the mesh is no change."""

    name: str
    namespace: str
    uid: str
    addresses: tuple[str, ...]
    service_account: str
    labels: tuple[tuple[str, str], ...]
    node: str
    in_mesh: bool
    """Has a sidecar that takes mutual TLS (label `security.istio.io/tlsMode=istio`)."""
    ports: tuple[tuple[str, int], ...] = ()
    """Named container ports."""
