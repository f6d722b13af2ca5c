"""EndpointSlices and Pods -> the endpoint table.

The table is immutable and stands beside the snapshot, not in it: endpoints change far more often than anything else,
and such a change must not rebuild the rest. What has not changed is the same object in the next table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reference.controlplane.registry.model import Key, Locality, Obj, Workload
from reference.controlplane.registry.workloads import workload_from

SERVICE_LABEL = "kubernetes.io/service-name"
REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL = (
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.istio.io/subzone",
)
_NOWHERE = Locality()


@dataclass(frozen=True, slots=True)
class Endpoint:
    address: str
    port: int
    port_name: str
    healthy: bool
    serving: bool
    locality: Locality
    labels: tuple[tuple[str, str], ...]
    service_account: str
    in_mesh: bool
    workload: str
    namespace: str

    def has_labels(self, wanted: Mapping[str, str]) -> bool:
        own = dict(self.labels)
        return all(own.get(key) == value for key, value in wanted.items())


Endpoints = tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True, eq=False)
class EndpointTable:
    """Endpoints by service key (namespace, name), all ports together, ready or not."""

    by_service: Mapping[Key, Endpoints] = field(default_factory=dict)
    accounts: Mapping[Key, tuple[str, ...]] = field(default_factory=dict)
    """Service accounts `ns/name` behind each service, sorted. A service that loses its last endpoint keeps the last
    known ones, so that scaling to zero and back does not rebuild clusters."""
    workloads: Mapping[str, Workload] = field(default_factory=dict)
    """By address."""
    sources: Mapping[str, Mapping[Key, object]] = field(default_factory=dict, repr=False)
    """What the table was made from; only `build_endpoints` reads it."""

    def of(self, service: Key, port_name: str) -> Endpoints:
        """Endpoints of one service port."""
        return tuple(entry for entry in self.by_service.get(service, ()) if entry.port_name == port_name)

    def port_at(self, service: Key, port_name: str, addresses: tuple[str, ...]) -> int | None:
        """The number of the port on the workload with one of the addresses, as the slice controller resolved it."""
        for entry in self.by_service.get(service, ()):
            if entry.port_name == port_name and entry.address in addresses:
                return entry.port
        return None


def build_endpoints(
    slices: Mapping[Key, Obj],
    pods: Mapping[Key, Obj],
    nodes: Mapping[Key, Obj] | None = None,
    previous: EndpointTable | None = None,
) -> EndpointTable:
    """The table of these objects. Returns `previous` itself when nothing the mesh cares about has changed."""
    old = previous or EndpointTable()
    workloads_by_pod, workloads = _workloads(pods, old)
    localities = {key[1]: _locality(node) for key, node in (nodes or {}).items()}
    grouped: dict[Key, list[Obj]] = {}
    for (namespace, _), entry in sorted(slices.items()):
        name = (entry["metadata"].get("labels") or {}).get(SERVICE_LABEL)
        if name:
            grouped.setdefault((namespace, name), []).append(entry)
    by_service: dict[Key, Endpoints] = {}
    accounts: dict[Key, tuple[str, ...]] = {}
    for key, members in grouped.items():
        found = _endpoints(members, workloads, localities)
        before = old.by_service.get(key)
        by_service[key] = before if before == found else found
        names = tuple(sorted({f"{entry.namespace}/{entry.service_account}" for entry in found if entry.in_mesh}))
        accounts[key] = names or old.accounts.get(key, ())
    sources: dict[str, Mapping[Key, object]] = {"pods": workloads_by_pod}
    if by_service == old.by_service and accounts == old.accounts and workloads == old.workloads and previous:
        return previous
    return EndpointTable(by_service, accounts, workloads, sources)


def _workloads(pods: Mapping[Key, Obj], old: EndpointTable) -> tuple[dict[Key, object], dict[str, Workload]]:
    known = old.sources.get("pods", {})
    parsed: dict[Key, object] = {}
    by_address: dict[str, Workload] = {}
    for key, pod in pods.items():
        entry = known.get(key)
        if not (isinstance(entry, _Parsed) and entry.raw is pod):
            entry = _Parsed(pod, workload_from(pod))
        parsed[key] = entry
        if entry.workload:
            for address in entry.workload.addresses:
                by_address[address] = entry.workload
    return parsed, by_address


@dataclass(frozen=True, slots=True, eq=False)
class _Parsed:
    raw: Obj
    workload: Workload | None


def _endpoints(slices: list[Obj], workloads: Mapping[str, Workload], localities: Mapping[str, Locality]) -> Endpoints:
    found: dict[tuple[str, str, int], Endpoint] = {}
    for entry in slices:
        if entry.get("addressType") == "FQDN":
            continue
        for member in entry.get("endpoints") or ():
            conditions = member.get("conditions") or {}
            ready = conditions.get("ready") is not False
            for address in (member.get("addresses") or ())[:1]:
                workload = workloads.get(address)
                for port in entry.get("ports") or ():
                    number = port.get("port")
                    if number is None:
                        continue
                    name = port.get("name") or ""
                    found[name, address, number] = Endpoint(
                        address=address,
                        port=number,
                        port_name=name,
                        healthy=ready,
                        serving=conditions.get("serving", ready) is not False,
                        locality=localities.get(member.get("nodeName", ""), _NOWHERE),
                        labels=workload.labels if workload else (),
                        service_account=workload.service_account if workload else "",
                        in_mesh=workload.in_mesh if workload else False,
                        workload=workload.name if workload else "",
                        namespace=workload.namespace if workload else entry["metadata"]["namespace"],
                    )
    return tuple(found[key] for key in sorted(found))


def _locality(node: Obj) -> Locality:
    labels = node["metadata"].get("labels") or {}
    return Locality(labels.get(REGION_LABEL, ""), labels.get(ZONE_LABEL, ""), labels.get(SUBZONE_LABEL, ""))
