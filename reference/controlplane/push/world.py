"""The current state of the world: the snapshot, the endpoint table beside it, and what a change may affect."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reference.controlplane.generate import Proxy, generate
from reference.controlplane.push.ledger import Key
from reference.controlplane.registry import EndpointTable
from reference.controlplane.snapshot import (
    Inputs,
    Snapshot,
    affected,
    affected_by_endpoints,
    build_endpoint_table,
    build_snapshot,
)
from reference.controlplane.xds.types import PREFIX, Resources

Obj = dict[str, Any]
ENDPOINT_KINDS = frozenset({"EndpointSlice", "Pod", "Node"})
SNAPSHOT_KINDS = frozenset({"Service", "VirtualService", "DestinationRule", "ConfigMap"})


@dataclass(frozen=True, slots=True)
class Stores:
    """The informers' stores by kind, live; `mesh` gives the text of the mesh config."""

    objects: Mapping[str, Mapping[tuple[str, str], Obj]]
    mesh: Callable[[], str]
    domain: str = "cluster.local"

    def inputs(self) -> Inputs:
        return Inputs(self.objects, self.mesh(), self.domain)


class World:
    """Implements what `Pusher` and the xDS streams ask. `sequence` is the change as of which it stands."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self.sequence = 0
        self.snapshot: Snapshot = build_snapshot(Inputs(domain=stores.domain))
        self.endpoints: EndpointTable = build_endpoint_table(Inputs(domain=stores.domain))

    def advance(self, changed: Sequence[Key], sequence: int) -> Callable[[Proxy], frozenset[str]]:
        """Takes the changes up to `sequence` in; returns which types of a proxy they may change."""
        kinds = {kind for _, kind, _, _ in changed}
        snapshot, endpoints = self.snapshot, self.endpoints
        inputs = self._stores.inputs()
        new_snapshot = build_snapshot(inputs, snapshot) if kinds & SNAPSHOT_KINDS else snapshot
        new_endpoints = build_endpoint_table(inputs, endpoints) if kinds & ENDPOINT_KINDS else endpoints
        # Both or neither: what is taken in before a failure would not differ at the next try, and concern nobody.
        self.snapshot, self.endpoints, self.sequence = new_snapshot, new_endpoints, sequence

        def of(proxy: Proxy) -> frozenset[str]:
            found: frozenset[str] = frozenset()
            if new_snapshot is not snapshot:
                found |= affected(snapshot, new_snapshot, proxy)
            if new_endpoints is not endpoints:
                found |= affected_by_endpoints(endpoints, new_endpoints, proxy, new_snapshot)
            return frozenset(name if name.startswith(PREFIX) else PREFIX + name for name in found)

        return of

    def generate(self, proxy: Proxy, type_url: str, names: frozenset[str] | None) -> Resources:
        """What the proxy should hold of a type as of now."""
        return generate(self.snapshot, self.endpoints, proxy, type_url, names)
