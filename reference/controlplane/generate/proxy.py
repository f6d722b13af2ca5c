"""A proxy as it introduces itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from google.protobuf.json_format import MessageToDict

KINDS = ("sidecar", "router", "waypoint", "ztunnel")


@dataclass(frozen=True, slots=True, eq=False)
class Proxy:
    """`id` is the node id, `type~ip~name.ns~ns.svc.domain`; what its metadata says beats what the id says."""

    id: str
    kind: str
    ips: tuple[str, ...]
    namespace: str
    service_account: str = "default"
    labels: Mapping[str, str] = field(default_factory=dict)
    cluster_id: str = ""
    dns_domain: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)
    """Named container ports of the pod (metadata POD_PORTS)."""
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def ip(self) -> str:
        return self.ips[0]

    @classmethod
    def from_node(cls, node: Any) -> Self:
        """The proxy of an `envoy.config.core.v3.Node`. Raises ValueError when the id is not a node id."""
        return cls.from_id(node.id, MessageToDict(node.metadata))

    @classmethod
    def from_id(cls, node_id: str, metadata: Mapping[str, Any]) -> Self:
        parts = node_id.split("~")
        if len(parts) != 4 or parts[0] not in KINDS or not parts[1]:
            raise ValueError(f'node id: expected type~ip~name.namespace~domain with type of {KINDS}, got "{node_id}"')
        kind, ip, name, domain = parts
        named = name.rpartition(".")[2]
        ips = metadata.get("INSTANCE_IPS") or ip
        return cls(
            id=node_id,
            kind=kind,
            ips=tuple(part for part in str(ips).split(",") if part),
            namespace=str(metadata.get("NAMESPACE") or named),
            service_account=str(metadata.get("SERVICE_ACCOUNT") or "default"),
            labels={str(key): str(value) for key, value in (metadata.get("LABELS") or {}).items()},
            cluster_id=str(metadata.get("CLUSTER_ID") or ""),
            dns_domain=domain,
            ports=_ports(metadata.get("POD_PORTS")),
            metadata=metadata,
        )


def _ports(value: Any) -> dict[str, int]:
    """POD_PORTS is a JSON text in Istio's metadata; a list is taken as well."""
    try:
        entries = json.loads(value) if isinstance(value, str) and value else value or []
    except ValueError:
        return {}
    return {
        entry["name"]: int(entry["containerPort"])
        for entry in entries
        if isinstance(entry, dict) and entry.get("name") and entry.get("containerPort")
    }
