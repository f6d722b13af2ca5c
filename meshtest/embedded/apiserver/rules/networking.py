"""Endpoints, EndpointSlices, Ingresses, NetworkPolicies: defaults and the essentials of validation."""

from __future__ import annotations

from typing import Any

from meshtest.embedded.apiserver.errors import FieldError, not_supported, required

Obj = dict[str, Any]
_FAMILIES = ("IPv4", "IPv6", "FQDN")


def default_slice(obj: Obj) -> None:
    if obj.get("endpoints") is None:
        obj["endpoints"] = []
    if obj.get("ports") is None:
        obj["ports"] = []
    for port in obj["ports"]:
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def validate_slice(obj: Obj) -> list[FieldError]:
    if not obj.get("addressType"):
        return [required("addressType")]
    if obj["addressType"] not in _FAMILIES:
        return [not_supported("addressType", obj["addressType"], _FAMILIES)]
    return [
        required(f"endpoints[{index}].addresses", "must contain at least 1 address")
        for index, endpoint in enumerate(obj["endpoints"])
        if not endpoint.get("addresses")
    ]


def default_endpoints(obj: Obj) -> None:
    for subset in obj.get("subsets") or []:
        for port in subset.get("ports") or []:
            port.setdefault("protocol", "TCP")


def default_ingress(obj: Obj) -> None:
    obj.setdefault("status", {"loadBalancer": {}})


def default_policy(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    for rule in [*(spec.get("ingress") or []), *(spec.get("egress") or [])]:
        for port in rule.get("ports") or []:
            port.setdefault("protocol", "TCP")
