"""What an installation can choose."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Obj = dict[str, Any]

DEFAULT_MESH_CONFIG: Final[Mapping[str, Any]] = {
    "accessLogFile": "/dev/stdout",
    "accessLogEncoding": "JSON",
    "enableAutoMtls": True,
    "rootNamespace": "istio-system",
    "trustDomain": "cluster.local",
    "defaultConfig": {
        "discoveryAddress": "istiod.istio-system.svc:15012",
        "concurrency": 1,
        "terminationDrainDuration": "1s",
    },
}


@dataclass(frozen=True, slots=True)
class InstallValues:
    """One installation.

    mesh_config is merged over DEFAULT_MESH_CONFIG, maps key by key, null removes a key. revision: `default` is what
    `istio-injection=enabled` selects; others are selected with `istio.io/rev`. hub and tag name the images.
    """

    namespace: str = "istio-system"
    revision: str = "default"
    mesh_config: Mapping[str, Any] = field(default_factory=dict)
    hub: str = "docker.io/meshtest"
    tag: str = ""
    cluster_id: str = "Kubernetes"
    network: str = ""
    dns_domain: str = "cluster.local"
    replicas: int = 1
    log_level: str = "info"
    proxy_log_level: str = "warning"

    def image(self, name: str) -> str:
        """The full name of one of the mesh's images, `pilot` or `proxy`."""
        return f"{self.hub}/{name}:{self.tag}" if self.tag else f"{self.hub}/{name}"

    def mesh(self) -> Obj:
        """The mesh config that is written."""
        defaults = {**DEFAULT_MESH_CONFIG, "rootNamespace": self.namespace}
        defaults["defaultConfig"] = {
            **DEFAULT_MESH_CONFIG["defaultConfig"],
            "discoveryAddress": f"istiod.{self.namespace}.svc:15012",
        }
        return merged(defaults, self.mesh_config)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Obj:
    """JSON merge patch (RFC 7396) of `over` into `base`."""
    result = dict(base)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            below = result.get(key)
            result[key] = merged(below if isinstance(below, Mapping) else {}, value)
        else:
            result[key] = value
    return result
