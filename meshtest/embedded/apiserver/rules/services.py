"""Services: defaults and validation. Addresses and node ports are given out by `allocate`."""

from __future__ import annotations

from typing import Any

from meshtest.embedded.apiserver.errors import FieldError, duplicate, forbidden_field, invalid, not_supported, required

Obj = dict[str, Any]
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")


def default(service: Obj) -> None:
    spec = service.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    kind = spec["type"]
    spec.setdefault("sessionAffinity", "None")
    if spec["sessionAffinity"] == "ClientIP" and not spec.get("sessionAffinityConfig"):
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10800}}
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        if port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port.get("port")
    if kind != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def create(service: Obj) -> None:
    service["status"] = {"loadBalancer": {}}


def update(new: Obj, old: Obj) -> None:
    """Addresses that the new object does not mention are kept."""
    spec, before = new["spec"], old["spec"]
    if spec["type"] != "ExternalName" and before.get("type") != "ExternalName":
        for key in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if not spec.get(key) and before.get(key):
                spec[key] = before[key]
    if spec["type"] == "ClusterIP":
        for port in spec.get("ports") or []:
            port.pop("nodePort", None)
        spec.pop("externalTrafficPolicy", None)
        spec.pop("allocateLoadBalancerNodePorts", None)
        return
    known = {(p.get("protocol"), p.get("port")): p.get("nodePort") for p in before.get("ports") or []}
    for port in spec.get("ports") or []:
        if not port.get("nodePort") and (kept := known.get((port.get("protocol"), port.get("port")))):
            port["nodePort"] = kept


def validate(service: Obj) -> list[FieldError]:
    spec = service["spec"]
    errors: list[FieldError] = []
    kind = spec["type"]
    if kind not in _TYPES:
        return [not_supported("spec.type", kind, _TYPES)]
    ports = spec.get("ports") or []
    if kind == "ExternalName":
        if not spec.get("externalName"):
            errors.append(required("spec.externalName"))
    elif not ports and spec.get("clusterIP") != "None":
        errors.append(required("spec.ports"))
    if spec["sessionAffinity"] not in ("None", "ClientIP"):
        errors.append(not_supported("spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None")))
    names: set[str] = set()
    numbers: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        name = port.get("name") or ""
        if len(ports) > 1 and not name:
            errors.append(required(f"{path}.name"))
        elif name and name in names:
            errors.append(duplicate(f"{path}.name", name))
        names.add(name)
        number = port.get("port")
        if not isinstance(number, int) or isinstance(number, bool) or not 0 < number < 65536:
            errors.append(invalid(f"{path}.port", number, "must be between 1 and 65535, inclusive"))
        elif (port["protocol"], number) in numbers:
            errors.append(duplicate(path, {"port": number, "protocol": port["protocol"]}))
        else:
            numbers.add((port["protocol"], number))
        if port["protocol"] not in ("TCP", "UDP", "SCTP"):
            errors.append(not_supported(f"{path}.protocol", port["protocol"], ("SCTP", "TCP", "UDP")))
    if kind in ("NodePort", "LoadBalancer") and spec.get("clusterIP") == "None":
        errors.append(invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services"))
    return errors


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    before, after = old["spec"], new["spec"]
    if "ExternalName" in (before["type"], after["type"]):
        return []
    if before.get("clusterIP") and after.get("clusterIP") != before["clusterIP"]:
        return [
            invalid("spec.clusterIPs[0]", after.get("clusterIP"), "may not change once set")
            if after.get("clusterIP")
            else forbidden_field("spec.clusterIP", "primary clusterIP can not be unset")
        ]
    return []
