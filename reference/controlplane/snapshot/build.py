"""inputs + previous snapshot -> snapshot. What has not changed is carried over as the same object."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reference.api import DestinationRule, InvalidConfig, MeshConfig, VirtualService, parse_mesh_config
from reference.controlplane.config import ConfigSet, Rules, merge, read_configs
from reference.controlplane.registry import EndpointTable, Service, build_endpoints, service_from
from reference.controlplane.registry.model import Key, Obj
from reference.controlplane.snapshot.indexes import DestinationIndex, RuleIndex, ServiceIndex
from reference.controlplane.snapshot.memo import Memo
from reference.controlplane.snapshot.model import ServiceSource, Snapshot

Objects = Mapping[Key, Obj]
_NONE: Objects = {}


@dataclass(frozen=True, slots=True)
class Inputs:
    """Raw objects by kind, each by (namespace, name).

    Kinds read: Service, VirtualService, DestinationRule (snapshot); EndpointSlice, Pod, Node (endpoint table).
    Others may be present. `mesh` is the YAML text under the key `mesh` of the ConfigMap `istio`. Objects are never
    changed in place: an object that is the same object has not changed.
    """

    objects: Mapping[str, Objects] = field(default_factory=dict)
    mesh: str = ""
    domain: str = "cluster.local"

    def of(self, kind: str) -> Objects:
        return self.objects.get(kind, _NONE)


def build_endpoint_table(inputs: Inputs, previous: EndpointTable | None = None) -> EndpointTable:
    """The endpoint table of the inputs; `previous` itself when nothing relevant has changed."""
    return build_endpoints(inputs.of("EndpointSlice"), inputs.of("Pod"), inputs.of("Node"), previous)


def build_snapshot(inputs: Inputs, previous: Snapshot | None = None) -> Snapshot:
    """The snapshot of the inputs; `previous` itself when nothing relevant has changed."""
    if previous is not None and previous.domain != inputs.domain:
        previous = None
    mesh, mesh_error = _mesh(inputs, previous)
    sources = _sources(inputs, previous)
    virtual_services = read_configs(
        "VirtualService",
        VirtualService,
        inputs.of("VirtualService"),
        previous.virtual_services if previous else None,
    )
    destination_rules = read_configs(
        "DestinationRule",
        DestinationRule,
        inputs.of("DestinationRule"),
        previous.destination_rules if previous else None,
    )
    same_mesh = previous is not None and previous.mesh is mesh
    services = _services(sources, mesh, previous if same_mesh else None)
    rules = _rules(virtual_services, mesh, inputs.domain, previous, same_mesh)
    if previous is not None and same_mesh and previous.destination_rules is destination_rules:
        destinations = previous.destinations
    else:
        exported = mesh.default_destination_rule_export_to
        destinations = DestinationIndex(destination_rules.entries, exported, inputs.domain, mesh.root_namespace)
    if (
        previous is not None
        and same_mesh
        and (previous.services, previous.rules, previous.destinations) == (services, rules, destinations)
        and previous.virtual_services is virtual_services
        and previous.mesh_text == inputs.mesh
    ):
        return previous
    memo, wholes = (previous.memo, previous.wholes) if previous is not None and same_mesh else (Memo(), Memo())
    wholes.turn()
    return Snapshot(
        mesh=mesh,
        domain=inputs.domain,
        services=services,
        rules=rules,
        destinations=destinations,
        memo=memo,
        wholes=wholes,
        mesh_text=inputs.mesh,
        sources=sources,
        virtual_services=virtual_services,
        destination_rules=destination_rules,
        mesh_error=mesh_error,
    )


def _mesh(inputs: Inputs, previous: Snapshot | None) -> tuple[MeshConfig, InvalidConfig | None]:
    if previous is not None and previous.mesh_text == inputs.mesh:
        return previous.mesh, previous.mesh_error
    try:
        mesh = parse_mesh_config(inputs.mesh)
    except InvalidConfig as error:
        return (previous.mesh if previous is not None else MeshConfig()), error
    return (previous.mesh if previous is not None and previous.mesh == mesh else mesh), None


def _sources(inputs: Inputs, previous: Snapshot | None) -> dict[Key, ServiceSource]:
    old: Mapping[Key, ServiceSource] = previous.sources if previous is not None else {}
    made: dict[Key, ServiceSource] = {}
    for key, raw in inputs.of("Service").items():
        known = old.get(key)
        if known is not None and known.raw is raw:
            made[key] = known
            continue
        service = service_from(raw, inputs.domain)
        same = known is not None and _fields(known.service) == _fields(service)
        made[key] = ServiceSource(raw, known.service if known is not None and same else service)
    return made


def _fields(service: Service) -> tuple[object, ...]:
    return tuple(getattr(service, name) for name in Service.__slots__)


def _services(sources: Mapping[Key, ServiceSource], mesh: MeshConfig, previous: Snapshot | None) -> ServiceIndex:
    found = tuple(sorted((source.service for source in sources.values()), key=lambda service: service.hostname))
    if previous is not None and previous.services.services == found:
        return previous.services
    return ServiceIndex(found, mesh.default_service_export_to)


def _rules(
    configs: ConfigSet[VirtualService], mesh: MeshConfig, domain: str, previous: Snapshot | None, same_mesh: bool
) -> RuleIndex:
    if previous is not None and same_mesh and previous.virtual_services is configs:
        return previous.rules
    known: dict[object, Rules] = {}
    if previous is not None and same_mesh:
        known = {rules.config: rules for rules in previous.rules.rules}
    exported = mesh.default_virtual_service_export_to
    made = tuple(
        merge(config, configs.by_key, domain, exported, known.get(config))
        for config in configs.entries
        if not config.model.is_delegate
    )
    if previous is not None and same_mesh and previous.rules.rules == made:
        return previous.rules
    return RuleIndex(made, exported)
