"""EDS: the endpoints of one outbound cluster."""

from collections.abc import Iterable

from envoy.config.core.v3 import health_check_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2

from reference.controlplane.generate import names
from reference.controlplane.generate.builders import address
from reference.controlplane.generate.policy import subsets
from reference.controlplane.generate.resource import EDS, Resource, resource
from reference.controlplane.generate.scene import Scene
from reference.controlplane.registry import Endpoint, Locality

_TLS_MODE = "envoy.transport_socket_match"


def generate_endpoints(scene: Scene, wanted: Iterable[str]) -> dict[str, Resource]:
    """Assignments for the named clusters. A cluster that the proxy may not see has no resource; one without
    endpoints has an empty assignment, so that its requests fail at once."""
    found: dict[str, Resource] = {}
    for name in wanted:
        entry = _assignment(scene, name)
        if entry is not None:
            found[name] = entry
    return found


def _assignment(scene: Scene, name: str) -> Resource | None:
    parts = names.split_outbound(name)
    if parts is None:
        return None
    number, label, host = parts
    service = scene.services.by_host.get(host)
    port = service.port(number) if service is not None else None
    if service is None or port is None or service.headless:
        return None
    labels: tuple[tuple[str, str], ...] = ()
    if label:
        subset = next((entry for entry in subsets(scene.destinations(service)) if entry.name == label), None)
        if subset is None:
            return None
        labels = tuple(sorted(subset.labels.items()))
    members = scene.endpoints.by_service.get(service.key, ())
    ready = service.publish_not_ready
    key = ("eds", name, port.name, labels, members_key(members), ready)
    return scene.snapshot.memo.get(key, lambda: _build(name, port.name, dict(labels), members, ready))


def members_key(members: tuple[Endpoint, ...]) -> object:
    """Endpoints compare by value but are many: the table keeps an unchanged tuple as the same object."""
    return _Same(members)


class _Same:
    """Equal only to a key around the very same object, which it keeps alive."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def _build(
    name: str, port_name: str, labels: dict[str, str], members: tuple[Endpoint, ...], with_unready: bool
) -> Resource:
    assignment = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    grouped: dict[Locality, list[Endpoint]] = {}
    for member in members:
        if member.port_name == port_name and (member.healthy or with_unready) and member.has_labels(labels):
            grouped.setdefault(member.locality, []).append(member)
    for locality, entries in sorted(grouped.items(), key=lambda item: str(item[0])):
        group = assignment.endpoints.add()
        group.load_balancing_weight.value = len(entries)
        group.locality.region = locality.region
        group.locality.zone = locality.zone
        group.locality.sub_zone = locality.subzone
        group.lb_endpoints.extend(_endpoint(entry) for entry in entries)
    return resource(name, EDS, assignment)


def _endpoint(entry: Endpoint) -> endpoint_components_pb2.LbEndpoint:
    made = endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=address(entry.address, entry.port)),
        health_status=health_check_pb2.HealthStatus.HEALTHY,
    )
    made.load_balancing_weight.value = 1
    if entry.in_mesh:
        made.metadata.filter_metadata[_TLS_MODE].update({"tlsMode": "istio"})
    if entry.workload:
        made.metadata.filter_metadata["istio"].update({"workload": f"{entry.workload};{entry.namespace}"})
    return made
