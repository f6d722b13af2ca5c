"""What a namespace may see, by host. One view per namespace, made when first asked for and kept with its index.

An index lives exactly as long as its content is unchanged, so "same index" means "same view for everyone".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reference.api import DestinationRule
from reference.controlplane.config import Config, Rules, is_visible, matches, resolve, specificity
from reference.controlplane.registry import Service


@dataclass(frozen=True, slots=True, eq=False)
class ServiceView:
    services: tuple[Service, ...]
    """Sorted by host name."""
    by_host: Mapping[str, Service]
    by_port: Mapping[int, tuple[Service, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class ServiceIndex:
    services: tuple[Service, ...]
    default_export: tuple[str, ...]
    _views: dict[str, ServiceView] = field(default_factory=dict, repr=False)

    def visible(self, namespace: str) -> ServiceView:
        view = self._views.get(namespace)
        if view is None:
            found = tuple(
                service
                for service in self.services
                if is_visible(service.export_to, self.default_export, service.namespace, namespace)
            )
            by_port: dict[int, list[Service]] = {}
            for service in found:
                for port in service.ports:
                    by_port.setdefault(port.number, []).append(service)
            # Namespaces that see the same share one view: whatever is cached by view is then shared as well.
            view = next((known for known in self._views.values() if known.services == found), None) or ServiceView(
                found,
                {service.hostname: service for service in found},
                {number: tuple(services) for number, services in by_port.items()},
            )
            self._views[namespace] = view
        return view

    def selecting(self, namespace: str, labels: Mapping[str, str]) -> tuple[Service, ...]:
        """Services of the namespace whose selector takes a workload with these labels."""
        return tuple(
            service
            for service in self.services
            if service.namespace == namespace
            and service.selector
            and all(labels.get(key) == value for key, value in service.selector.items())
        )


@dataclass(frozen=True, slots=True, eq=False)
class RuleView:
    rules: tuple[Rules, ...]
    by_host: Mapping[str, Rules]
    wildcards: tuple[tuple[str, Rules], ...]
    """Most specific first."""
    source_labels: tuple[str, ...]
    """Label keys that any match asks of its source: proxies that agree on these get the same routes."""

    def of(self, host: str) -> Rules | None:
        """The rules for a host: the most specific host pattern wins, then the oldest object."""
        found = self.by_host.get(host)
        if found is not None:
            return found
        return next((rules for pattern, rules in self.wildcards if matches(pattern, host)), None)


@dataclass(frozen=True, slots=True, eq=False)
class RuleIndex:
    rules: tuple[Rules, ...]
    """Oldest first."""
    default_export: tuple[str, ...]
    _views: dict[str, RuleView] = field(default_factory=dict, repr=False)

    def visible(self, namespace: str) -> RuleView:
        view = self._views.get(namespace)
        if view is None:
            found = tuple(
                rules
                for rules in self.rules
                if rules.model.in_mesh
                and is_visible(rules.model.export_to, self.default_export, rules.namespace, namespace)
            )
            view = next((known for known in self._views.values() if known.rules == found), None) or _rule_view(found)
            self._views[namespace] = view
        return view


def _rule_view(found: tuple[Rules, ...]) -> RuleView:
    by_host: dict[str, Rules] = {}
    wildcards: dict[str, Rules] = {}
    keys: set[str] = set()
    for rules in found:
        for host in rules.hosts:
            (wildcards if host.startswith("*") else by_host).setdefault(host, rules)
        for http in rules.http:
            for match in http.match:
                keys.update(match.source_labels)
        for tls in rules.model.tls:
            for tls_match in tls.match:
                keys.update(tls_match.source_labels)
        for tcp in rules.model.tcp:
            for tcp_match in tcp.match:
                keys.update(tcp_match.source_labels)
    ordered = sorted(wildcards.items(), key=lambda item: specificity(item[0]), reverse=True)
    return RuleView(found, by_host, tuple(ordered), tuple(sorted(keys)))


DestinationConfig = Config[DestinationRule]


def _hashes(model: DestinationRule) -> bool:
    policies = [model.traffic_policy, *(subset.traffic_policy for subset in model.subsets)]
    return any(
        settings is not None and settings.consistent_hash is not None
        for policy in policies
        if policy is not None
        for settings in (policy.load_balancer, *(port.load_balancer for port in policy.port_level_settings))
    )


@dataclass(frozen=True, slots=True, eq=False)
class DestinationIndex:
    """DestinationRules for a pair (who asks, which service)."""

    entries: tuple[DestinationConfig, ...]
    default_export: tuple[str, ...]
    domain: str
    root_namespace: str
    _by_host: dict[str, list[DestinationConfig]] = field(default_factory=dict, repr=False)
    _wildcards: list[tuple[str, DestinationConfig]] = field(default_factory=list, repr=False)
    _hashing: list[bool] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self._hashing.append(any(_hashes(config.model) for config in self.entries))
        for config in self.entries:
            host = resolve(config.model.host, config.namespace, self.domain)
            if host.startswith("*"):
                self._wildcards.append((host, config))
            else:
                self._by_host.setdefault(host, []).append(config)
        self._wildcards.sort(key=lambda item: specificity(item[0]), reverse=True)

    def of(self, service: Service, namespace: str, labels: Mapping[str, str]) -> tuple[DestinationConfig, ...]:
        """The rules that a client in `namespace` applies to the service, oldest first.

        The client's own namespace is looked at first, then the service's, then the mesh's root namespace; the first
        that has any wins. All rules of that place for the most specific host are merged by `generate`. A rule with a
        workload selector counts only in the client's own namespace and only for the workloads it selects.
        """
        if service.hostname not in self._by_host and not self._wildcards:
            return ()
        candidates = self._by_host.get(service.hostname, [])
        layers: list[Sequence[DestinationConfig]] = [candidates] if candidates else []
        layers += [[config] for host, config in self._wildcards if matches(host, service.hostname)]
        for place in dict.fromkeys((namespace, service.namespace, self.root_namespace)):
            for layer in layers:
                found = [config for config in layer if self._counts(config, place, namespace, labels)]
                selected = [config for config in found if config.model.workload_selector is not None]
                if found:
                    return tuple(selected or found)
        return ()

    def _counts(self, config: DestinationConfig, place: str, viewer: str, labels: Mapping[str, str]) -> bool:
        if config.namespace != place:
            return False
        selector = config.model.workload_selector
        if selector is not None and (
            config.namespace != viewer or any(labels.get(key) != value for key, value in selector.match_labels.items())
        ):
            return False
        return is_visible(config.model.export_to, self.default_export, config.namespace, viewer)

    @property
    def hashing(self) -> bool:
        """Whether any rule balances by a hash of the request."""
        return self._hashing[0]

    def selector_keys(self) -> tuple[str, ...]:
        """Label keys that workload selectors ask for."""
        keys: set[str] = set()
        for config in self.entries:
            if config.model.workload_selector is not None:
                keys.update(config.model.workload_selector.match_labels)
        return tuple(sorted(keys))
