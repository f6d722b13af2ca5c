# ruff: noqa: RUF009 - `spec` declares a field; its defaults are immutable
"""MeshConfig: settings of the whole mesh, from the ConfigMap `istio`, key `mesh` (Istio's `istio.mesh.v1alpha1`).

Fields that this mesh does not use are kept in the ConfigMap and ignored here: the same text configures Istio.
"""

from dataclasses import dataclass
from typing import Any

import yaml

from reference.api.errors import Errors, InvalidConfig
from reference.api.kinds import BOOL, FREE, TEXT, TEXT_MAP, TEXTS, Duration, OneOfNames
from reference.api.message import Message, Sub, declared, spec


@dataclass(frozen=True, slots=True)
class OutboundTrafficPolicy(Message):
    mode: str = spec(OneOfNames(("ALLOW_ANY", "REGISTRY_ONLY")), default="ALLOW_ANY")


@dataclass(frozen=True, slots=True)
class MeshConfig(Message):
    outbound_traffic_policy: OutboundTrafficPolicy = spec(Sub(OutboundTrafficPolicy), default=OutboundTrafficPolicy())
    access_log_file: str = spec(TEXT, default="")
    """Path such as /dev/stdout; empty switches the access log off."""
    access_log_encoding: str = spec(OneOfNames(("TEXT", "JSON")), default="TEXT")
    access_log_format: str = spec(TEXT, default="")
    enable_auto_mtls: bool = spec(BOOL, default=True)
    trust_domain: str = spec(TEXT, default="cluster.local")
    trust_domain_aliases: tuple[str, ...] = spec(TEXTS)
    root_namespace: str = spec(TEXT, default="istio-system")
    connect_timeout: float = spec(Duration(), default=10.0)
    """Seconds."""
    protocol_detection_timeout: float = spec(Duration(0), default=0.0)
    """Seconds, outbound."""
    default_config: Any = spec(FREE)
    """ProxyConfig, as it is: the agent reads it."""
    default_service_export_to: tuple[str, ...] = spec(TEXTS, default=("*",))
    default_virtual_service_export_to: tuple[str, ...] = spec(TEXTS, default=("*",))
    default_destination_rule_export_to: tuple[str, ...] = spec(TEXTS, default=("*",))
    default_providers: Any = spec(FREE)
    ingress_class: str = spec(TEXT, default="")
    labels: Any = spec(TEXT_MAP)


def parse_mesh_config(text: str | dict[str, Any]) -> MeshConfig:
    """MeshConfig from its YAML text or its decoded form. Raises InvalidConfig."""
    value = text if isinstance(text, dict) else (yaml.load(text, Loader=yaml.CSafeLoader) or {})
    errors = Errors()
    if not isinstance(value, dict):
        errors.add("mesh", "an object", value)
        raise InvalidConfig("MeshConfig", "istio", errors.found)
    known = {about.json for about in declared(MeshConfig)}
    made = MeshConfig.parse({key: entry for key, entry in value.items() if key in known}, "mesh", errors)
    if errors.found:
        raise InvalidConfig("MeshConfig", "istio", errors.found)
    return made
