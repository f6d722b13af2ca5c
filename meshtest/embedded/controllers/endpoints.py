"""Services with a selector: their EndpointSlices, and the older Endpoints object beside them."""

from collections.abc import Iterable, Mapping, Sequence

from kubeclient import Obj
from kubeclient.resources import ENDPOINT_SLICES, ENDPOINTS, SERVICES
from meshtest.embedded.controllers.actions import Action, Create, Delete, Patch, Plan
from meshtest.embedded.controllers.objects import (
    is_deleting,
    is_pod_finished,
    is_pod_ready,
    owner_reference,
    sort_by_name,
)

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"
HEADLESS = "service.kubernetes.io/headless"
ENDPOINTS_PER_SLICE = 100
ZONE = "topology.kubernetes.io/zone"


def endpoint_facts(pod: Obj) -> object:
    """What of a pod its Services' endpoints depend on; equal facts need no new plan."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    return (
        metadata.get("labels"),
        is_deleting(pod),
        spec.get("nodeName"),
        spec.get("hostname"),
        spec.get("subdomain"),
        is_pod_finished(pod),
        is_pod_ready(pod),
        status.get("podIPs") or status.get("podIP"),
    )


def selects(service: Obj, labels: Mapping[str, str] | None) -> bool:
    """Whether a Service's plain selector selects these labels; without a selector it selects nothing."""
    selector: Mapping[str, str] = service["spec"].get("selector") or {}
    return (
        bool(selector) and service["spec"].get("type") != "ExternalName" and selector.items() <= (labels or {}).items()
    )


def plan(
    service: Obj, pods: Iterable[Obj], nodes: Mapping[str, Obj], slices: Sequence[Obj], endpoints: Obj | None
) -> Plan:
    """`pods`: those that the Service selects; `slices`: all with its name; `endpoints`: the object of its name."""
    if is_deleting(service) or not service["spec"].get("selector") or service["spec"].get("type") == "ExternalName":
        return Plan()
    backing = sort_by_name(pod for pod in pods if not is_pod_finished(pod) and addresses_of(pod))
    wanted = [
        piece
        for family in service["spec"].get("ipFamilies") or ("IPv4",)
        for piece in _wanted_slices(service, backing, nodes, str(family))
    ]
    actions = _converge_slices(service, wanted, [item for item in slices if _is_ours(item)])
    return Plan([*actions, *_converge_endpoints(service, backing, endpoints)])


def addresses_of(pod: Obj) -> list[str]:
    """The pod's addresses, the primary one first."""
    status = pod.get("status") or {}
    return [entry["ip"] for entry in status.get("podIPs") or ()] or ([status["podIP"]] if status.get("podIP") else [])


def _is_ours(piece: Obj) -> bool:
    return (piece["metadata"].get("labels") or {}).get(MANAGED_BY) == MANAGER


def ports_for(service: Obj, pod: Obj) -> list[Obj]:
    """The Service's ports as numbers in this pod; named ones that the pod does not have are left out."""
    ports = []
    for port in service["spec"].get("ports") or ():
        number = _target(port, pod)
        if number is None:
            continue
        entry = {"name": port.get("name") or "", "port": number, "protocol": port.get("protocol") or "TCP"}
        if port.get("appProtocol"):
            entry["appProtocol"] = port["appProtocol"]
        ports.append(entry)
    return ports


def _target(port: Obj, pod: Obj) -> int | None:
    target = port.get("targetPort")
    if target is None:
        return int(port["port"])
    if isinstance(target, int):
        return target
    if target.isdigit():
        return int(target)
    protocol = port.get("protocol") or "TCP"
    spec = pod["spec"]
    sidecars = [item for item in spec.get("initContainers") or () if item.get("restartPolicy") == "Always"]
    for container in (*(spec.get("containers") or ()), *sidecars):
        for known in container.get("ports") or ():
            if known.get("name") == target and (known.get("protocol") or "TCP") == protocol:
                return int(known["containerPort"])
    return None


def _wanted_slices(service: Obj, pods: Sequence[Obj], nodes: Mapping[str, Obj], family: str) -> list[Obj]:
    groups: dict[str, tuple[list[Obj], list[Obj]]] = {}
    for pod in pods:
        address = next((item for item in addresses_of(pod) if (":" in item) == (family == "IPv6")), None)
        if address is None:
            continue
        # A pod without the named port stays an endpoint without ports, so that a headless name still resolves to it.
        ports = ports_for(service, pod)
        groups.setdefault(repr(ports), (ports, []))[1].append(_endpoint(service, pod, address, nodes))
    if not groups:
        groups[""] = ([], [])
    return [
        {"addressType": family, "ports": ports, "endpoints": found[start : start + ENDPOINTS_PER_SLICE]}
        for ports, found in groups.values()
        for start in range(0, max(1, len(found)), ENDPOINTS_PER_SLICE)
    ]


def _endpoint(service: Obj, pod: Obj, address: str, nodes: Mapping[str, Obj]) -> Obj:
    ready, terminating = is_pod_ready(pod), is_deleting(pod)
    publish = bool(service["spec"].get("publishNotReadyAddresses"))
    endpoint: Obj = {
        "addresses": [address],
        "conditions": {"ready": publish or (ready and not terminating), "serving": ready, "terminating": terminating},
        "targetRef": _reference(pod),
    }
    if node := pod["spec"].get("nodeName"):
        endpoint["nodeName"] = node
        zone = (nodes.get(node, {}).get("metadata", {}).get("labels") or {}).get(ZONE)
        if zone:
            endpoint["zone"] = zone
    if pod["spec"].get("hostname") and pod["spec"].get("subdomain") == service["metadata"]["name"]:
        endpoint["hostname"] = pod["spec"]["hostname"]
    return endpoint


def _reference(pod: Obj) -> Obj:
    metadata = pod["metadata"]
    return {"kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"]}


def _labels(service: Obj) -> dict[str, str]:
    labels = {key: value for key, value in (service["metadata"].get("labels") or {}).items() if key != HEADLESS}
    labels |= {SERVICE_NAME: service["metadata"]["name"], MANAGED_BY: MANAGER}
    if service["spec"].get("clusterIP") == "None":
        labels[HEADLESS] = ""
    return labels


def _converge_slices(service: Obj, wanted: Sequence[Obj], existing: Sequence[Obj]) -> list[Action]:
    """Slices are reused where family and ports agree, so that most changes are one patch."""
    free = sort_by_name(existing)
    actions: list[Action] = []
    homeless = []
    labels = _labels(service)
    for piece in wanted:
        found = _take(free, piece, same_ports=True)
        if found is None:
            homeless.append(piece)
            continue
        actions += _fit(found, piece, labels)
    for piece in homeless:
        found = _take(free, piece, same_ports=False)
        actions += _fit(found, piece, labels) if found is not None else [_new_slice(service, piece, labels)]
    return [*actions, *(Delete(ENDPOINT_SLICES, leftover) for leftover in free)]


def _take(free: list[Obj], piece: Obj, *, same_ports: bool) -> Obj | None:
    for index, candidate in enumerate(free):
        if candidate["addressType"] == piece["addressType"] and (
            not same_ports or (candidate.get("ports") or []) == piece["ports"]
        ):
            return free.pop(index)
    return None


def _fit(found: Obj, piece: Obj, labels: dict[str, str]) -> list[Action]:
    body: Obj = {}
    for key in ("ports", "endpoints"):
        if (found.get(key) or []) != piece[key]:
            body[key] = piece[key]
    current = found["metadata"].get("labels") or {}
    if current != labels:
        body["metadata"] = {"labels": {**{key: None for key in current if key not in labels}, **labels}}
    return [Patch(ENDPOINT_SLICES, found, body)] if body else []


def _new_slice(service: Obj, piece: Obj, labels: dict[str, str]) -> Action:
    metadata = service["metadata"]
    return Create(
        ENDPOINT_SLICES,
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "generateName": f"{metadata['name']}-",
                "namespace": metadata["namespace"],
                "labels": labels,
                "ownerReferences": [owner_reference(SERVICES, service)],
            },
            **piece,
        },
    )


def _converge_endpoints(service: Obj, pods: Sequence[Obj], existing: Obj | None) -> list[Action]:
    subsets = _subsets(service, pods)
    metadata = service["metadata"]
    labels = {**(metadata.get("labels") or {}), "endpoints.kubernetes.io/managed-by": "endpoint-controller"}
    if existing is None:
        obj: Obj = {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "labels": labels},
            "subsets": subsets,
        }
        return [Create(ENDPOINTS, obj)]
    if (existing.get("subsets") or []) == subsets:
        return []
    return [Patch(ENDPOINTS, existing, {"subsets": subsets})]


def _subsets(service: Obj, pods: Sequence[Obj]) -> list[Obj]:
    publish = bool(service["spec"].get("publishNotReadyAddresses"))
    groups: dict[str, Obj] = {}
    for pod in pods:
        ports = ports_for(service, pod)
        if (not ports and service["spec"].get("ports")) or is_deleting(pod):
            continue
        address: Obj = {"ip": addresses_of(pod)[0], "targetRef": _reference(pod)}
        if node := pod["spec"].get("nodeName"):
            address["nodeName"] = node
        if pod["spec"].get("hostname") and pod["spec"].get("subdomain") == service["metadata"]["name"]:
            address["hostname"] = pod["spec"]["hostname"]
        named = [{key: value for key, value in port.items() if value != ""} for port in ports]
        subset = groups.setdefault(repr(ports), {**({"ports": named} if named else {})})
        kind = "addresses" if publish or is_pod_ready(pod) else "notReadyAddresses"
        subset.setdefault(kind, []).append(address)
    return list(groups.values())
