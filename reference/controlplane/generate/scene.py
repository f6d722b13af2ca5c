"""What one call of `generate` looks at."""

from dataclasses import dataclass, field

from reference.controlplane.generate.proxy import Proxy
from reference.controlplane.registry import EndpointTable, Port, Protocol, Service
from reference.controlplane.registry.model import Key
from reference.controlplane.snapshot import Snapshot
from reference.controlplane.snapshot.indexes import DestinationConfig, RuleView, ServiceView


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    snapshot: Snapshot
    endpoints: EndpointTable
    proxy: Proxy
    services: ServiceView = field(init=False)
    rules: RuleView = field(init=False)

    def __post_init__(self) -> None:
        namespace = self.proxy.namespace
        object.__setattr__(self, "services", self.snapshot.services.visible(namespace))
        object.__setattr__(self, "rules", self.snapshot.rules.visible(namespace))

    def destinations(self, service: Service) -> tuple[DestinationConfig, ...]:
        """DestinationRules that this proxy applies to the service."""
        return self.snapshot.destinations.of(service, self.proxy.namespace, self.proxy.labels)

    def label_key(self) -> tuple[str | None, ...]:
        """The proxy's labels as far as any configuration that it sees asks for them."""
        labels = self.proxy.labels
        asked = (*self.rules.source_labels, *self.snapshot.destinations.selector_keys())
        return tuple(labels.get(key) for key in asked)

    def selector_key(self) -> tuple[str | None, ...]:
        """The proxy's labels as far as DestinationRules ask for them."""
        return tuple(self.proxy.labels.get(key) for key in self.snapshot.destinations.selector_keys())

    def wildcard(self) -> str:
        return "::" if ":" in self.proxy.ip else "0.0.0.0"


@dataclass(frozen=True, slots=True)
class InboundPort:
    """A port of the proxy's own workload that services name."""

    number: int
    protocol: Protocol
    service: Service
    service_port: Port


def inbound_ports(scene: Scene) -> tuple[InboundPort, ...]:
    """By number. Of two services that name one port the older one decides."""
    proxy, found = scene.proxy, dict[int, InboundPort]()
    chosen = scene.snapshot.services.selecting(proxy.namespace, proxy.labels)
    for service in sorted(chosen, key=lambda service: (service.created, service.hostname)):
        for port in service.ports:
            if port.protocol is Protocol.UDP:
                continue
            number = _target(scene, service.key, port)
            if number is not None:
                found.setdefault(number, InboundPort(number, port.protocol, service, port))
    return tuple(found[number] for number in sorted(found))


def _target(scene: Scene, service: Key, port: Port) -> int | None:
    if isinstance(port.target, int):
        return port.target
    if port.target.isdigit():
        return int(port.target)
    named = scene.proxy.ports.get(port.target)
    return named if named is not None else scene.endpoints.port_at(service, port.name, scene.proxy.ips)
