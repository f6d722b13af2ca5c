"""Which types of resource a proxy must be generated anew for. May name too many, never too few."""

from collections.abc import Mapping
from typing import Final, Protocol

from reference.controlplane.registry import EndpointTable
from reference.controlplane.snapshot.model import Snapshot

_PREFIX: Final = "type.googleapis.com/envoy.config."
CDS: Final = _PREFIX + "cluster.v3.Cluster"
EDS: Final = _PREFIX + "endpoint.v3.ClusterLoadAssignment"
LDS: Final = _PREFIX + "listener.v3.Listener"
RDS: Final = _PREFIX + "route.v3.RouteConfiguration"
ALL: Final = frozenset({CDS, EDS, LDS, RDS})
NOTHING: Final[frozenset[str]] = frozenset()


class Viewer(Protocol):
    """What is asked of a proxy here."""

    @property
    def namespace(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def ips(self) -> tuple[str, ...]: ...


def affected(before: Snapshot, after: Snapshot, proxy: Viewer) -> frozenset[str]:
    """Types that differ, or may, for the proxy between two snapshots."""
    if before is after:
        return NOTHING
    if before.mesh is not after.mesh or before.domain != after.domain:
        return ALL
    found: set[str] = set()
    namespace = proxy.namespace
    if before.services is not after.services:
        own = before.services.selecting(namespace, proxy.labels) != after.services.selecting(namespace, proxy.labels)
        if own or before.services.visible(namespace).services != after.services.visible(namespace).services:
            return ALL
    if before.rules is not after.rules:
        old, new = before.rules.visible(namespace).rules, after.rules.visible(namespace).rules
        if old != new:
            found.add(RDS)
            if any(rules.model.tcp or rules.model.tls for rules in set(old) ^ set(new)):
                found.add(LDS)
    if before.destinations is not after.destinations:
        visible = [
            config
            for config in set(before.destinations.entries) ^ set(after.destinations.entries)
            if config.namespace == namespace or set(config.model.export_to) != {"."}
        ]
        if visible:
            found |= {CDS, EDS}
            # Routes say what to hash. Any rule may come to stand before one that hashes.
            if before.destinations.hashing or after.destinations.hashing:
                found.add(RDS)
    return frozenset(found)


def affected_by_endpoints(
    before: EndpointTable, after: EndpointTable, proxy: Viewer, snapshot: Snapshot
) -> frozenset[str]:
    """Types that differ, or may, for the proxy between two endpoint tables.

    Endpoints alone are EDS. Clusters name the accounts behind a service; headless services have listeners per address;
    and a proxy's own inbound ports may be named ones, whose numbers come from its endpoints.
    """
    if before is after:
        return NOTHING
    found: set[str] = set()
    if before.by_service != after.by_service:
        found.add(EDS)
        changed = [
            key
            for key in before.by_service.keys() | after.by_service.keys()
            if before.by_service.get(key) is not after.by_service.get(key)
        ]
        for key in changed:
            members = {*before.by_service.get(key, ()), *after.by_service.get(key, ())}
            if key[0] == proxy.namespace and any(entry.address in proxy.ips for entry in members):
                found |= {CDS, LDS}
            source = snapshot.sources.get(key)
            if source is not None and source.service.headless:
                found |= {CDS, LDS}
    if before.accounts != after.accounts:
        found.add(CDS)
    return frozenset(found)
