"""The snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reference.api import DestinationRule, InvalidConfig, MeshConfig, VirtualService
from reference.controlplane.config import ConfigSet
from reference.controlplane.registry import Service
from reference.controlplane.registry.model import Key, Obj
from reference.controlplane.snapshot.indexes import DestinationIndex, RuleIndex, ServiceIndex
from reference.controlplane.snapshot.memo import Memo


@dataclass(frozen=True, slots=True, eq=False)
class ServiceSource:
    raw: Obj = field(repr=False)
    service: Service


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Immutable. An index that is the same object as in another snapshot has the same content."""

    mesh: MeshConfig
    domain: str
    services: ServiceIndex
    rules: RuleIndex
    destinations: DestinationIndex
    memo: Memo = field(repr=False)
    """Shared by successive snapshots under one mesh config, so that its keys need not hold the mesh config."""
    wholes: Memo = field(repr=False)
    """The same for large results, of which only the latest are worth their memory: a generation is a snapshot."""
    mesh_text: str = field(repr=False)
    sources: Mapping[Key, ServiceSource] = field(repr=False)
    virtual_services: ConfigSet[VirtualService] = field(repr=False)
    destination_rules: ConfigSet[DestinationRule] = field(repr=False)
    mesh_error: InvalidConfig | None = None
    """Set while the mesh config's text is invalid; the last valid one stays in force."""

    @property
    def rejected(self) -> Mapping[tuple[str, str, str], InvalidConfig]:
        """Objects left out because they are invalid, by kind, namespace and name."""
        return {
            (kind, *key): error
            for kind, found in (
                ("VirtualService", self.virtual_services.rejected),
                ("DestinationRule", self.destination_rules.rejected),
            )
            for key, error in found.items()
        }
