"""HTTP routes of one virtual host: from a VirtualService's rules, or the plain one to the service."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from envoy.config.route.v3 import route_components_pb2 as route_pb2

from reference.api.destinationrule import ConsistentHashLB
from reference.api.http import Destination, HTTPMatchRequest, HTTPRoute, HTTPRouteDestination
from reference.controlplane.config import Rules, resolve
from reference.controlplane.generate import actions, names, wire
from reference.controlplane.generate.builders import duration, packed, percent
from reference.controlplane.generate.matches import applies, is_catch_all, route_match
from reference.controlplane.generate.network import CORS, FAULT
from reference.controlplane.generate.policy import policy, subsets
from reference.controlplane.registry import Service
from reference.controlplane.snapshot.indexes import DestinationConfig

Route: TypeAlias = route_pb2.Route
DEFAULT_NAME = "default"


@dataclass(frozen=True, slots=True)
class Target:
    """A destination's service as the proxy sees it, and the DestinationRules for it. None: not in the registry."""

    service: Service | None
    configs: tuple[DestinationConfig, ...]

    def hashing(self, port: int, subset: str | None) -> ConsistentHashLB | None:
        found = next((entry for entry in subsets(self.configs) if entry.name == subset), None) if subset else None
        balancer = policy(self.configs, port, found).load_balancer
        return balancer.consistent_hash if balancer is not None else None


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What routes depend on besides the rules themselves."""

    port: int
    """The listener's."""
    domain: str
    targets: Mapping[str, Target]
    """By full host name; every destination of the rules is there."""


def plain_route(port: int, target: Target, host: str) -> bytes:
    """To the service itself; an encoded Route. There are many of these, all but equal."""
    action = wire.text(1, names.outbound(port, "", host)) + _plain_action()
    hashing = target.hashing(port, None) if target.configs else None
    if hashing is not None:
        (policies,) = actions.hash_policies([hashing])
        action += wire.field(15, policies.SerializeToString(deterministic=True))
    decorator = wire.text(1, f"{host}:{port}/*")
    return b"".join((_PLAIN_HEAD, wire.field(2, action), wire.field(5, decorator)))


_PLAIN_HEAD = wire.field(1, wire.text(1, "/")) + wire.text(14, DEFAULT_NAME)
"""Route.match = prefix "/", Route.name."""


@cache
def _plain_action() -> bytes:
    """The RouteAction of plain routes without what depends on the service."""
    action = route_pb2.RouteAction(retry_policy=actions.default_retries())
    _apply_defaults(action)
    encoded: bytes = action.SerializeToString(deterministic=True)
    return encoded


Selection = tuple[tuple[int, int | None], ...]
"""Positions of a route and of its match; None for a route without any."""


def select(rules: Rules, port: int, namespace: str, labels: Mapping[str, str]) -> Selection:
    """The routes and matches of a VirtualService that concern a proxy and port, first match first. What comes after
    one that takes everything is left out. Proxies with the same selection have the same routes."""
    made: list[tuple[int, int | None]] = []
    for position, rule in enumerate(rules.http):
        if not rule.match:
            made.append((position, None))
            break
        for index, match in enumerate(rule.match):
            if not applies(match, namespace, labels, port):
                continue
            made.append((position, index))
            if is_catch_all(match):
                return tuple(made)
    return tuple(made)


def rule_routes(rules: Rules, selection: Selection, around: Surroundings) -> list[Route]:
    """The selected routes."""
    made: list[Route] = []
    for position, index in selection:
        rule, namespace = rules.http[position], rules.namespaces[position]
        made.append(_route(rule, None if index is None else rule.match[index], namespace, around))
    return made


def destinations(rules: Rules, domain: str) -> dict[str, None]:
    """Full host names of all destinations and mirrors, in order."""
    found: dict[str, None] = {}
    for rule, namespace in zip(rules.http, rules.namespaces, strict=True):
        for entry in _all_destinations(rule):
            found[resolve(entry.host, namespace, domain)] = None
    return found


def _all_destinations(rule: HTTPRoute) -> list[Destination]:
    found = [entry.destination for entry in rule.route]
    if rule.mirror is not None:
        found.append(rule.mirror)
    return found + [entry.destination for entry in rule.mirrors]


def _apply_defaults(action: route_pb2.RouteAction) -> None:
    """No timeout: whoever wants one says so. The deadline that a gRPC client sends counts as it is."""
    action.timeout.CopyFrom(duration(0))
    action.max_stream_duration.max_stream_duration.CopyFrom(duration(0))
    action.max_stream_duration.grpc_timeout_header_max.CopyFrom(duration(0))


def _route(rule: HTTPRoute, match: HTTPMatchRequest | None, namespace: str, around: Surroundings) -> Route:
    name = rule.name or DEFAULT_NAME
    if match is not None and match.name:
        name = f"{name}.{match.name}"
    made = Route(name=name, match=route_match(match))
    actions.apply_headers(made, rule.headers)
    if rule.redirect is not None:
        made.redirect.CopyFrom(actions.redirect(rule.redirect, around.port))
    elif rule.direct_response is not None:
        made.direct_response.CopyFrom(actions.direct_response(rule.direct_response))
    else:
        _forward(made, rule, namespace, around)
    if rule.fault is not None:
        made.typed_per_filter_config[FAULT].CopyFrom(packed(actions.fault(rule.fault)))
    if rule.cors_policy is not None:
        made.typed_per_filter_config[CORS].CopyFrom(packed(actions.cors(rule.cors_policy)))
    return made


def _forward(made: Route, rule: HTTPRoute, namespace: str, around: Surroundings) -> None:
    action = made.route
    _apply_defaults(action)
    action.cluster_not_found_response_code = route_pb2.RouteAction.SERVICE_UNAVAILABLE
    if rule.timeout:
        action.timeout.CopyFrom(duration(rule.timeout))
        action.ClearField("max_stream_duration")  # with it Envoy ignores `timeout`
    if rule.retries is None:
        action.retry_policy.CopyFrom(actions.default_retries())
    elif rule.retries.attempts > 0:
        action.retry_policy.CopyFrom(actions.retries(rule.retries))
    _rewrite(action, rule)
    used = [entry for entry in rule.route if entry.weight > 0] if len(rule.route) > 1 else list(rule.route)
    if len(used) == 1:
        action.cluster = _cluster(used[0].destination, namespace, around)
        actions.apply_headers(made, used[0].headers)
        _set_authority(action, used[0])
    else:
        for entry in used:
            weighted = action.weighted_clusters.clusters.add(name=_cluster(entry.destination, namespace, around))
            weighted.weight.value = entry.weight
            actions.apply_headers(weighted, entry.headers)
            if actions.authority(entry.headers):
                weighted.host_rewrite_literal = actions.authority(entry.headers)
    for destination, fraction in _mirrors(rule):
        mirror = action.request_mirror_policies.add(cluster=_cluster(destination, namespace, around))
        mirror.runtime_fraction.default_value.CopyFrom(percent(fraction))
    hashing = [_hashing(entry.destination, namespace, around) for entry in used]
    action.hash_policy.extend(actions.hash_policies([entry for entry in hashing if entry is not None]))
    made.decorator.operation = f"{used[0].destination.host}:{around.port}/*" if used else ""


def _rewrite(action: route_pb2.RouteAction, rule: HTTPRoute) -> None:
    own = actions.authority(rule.headers)
    if own:
        action.host_rewrite_literal = own
    if rule.rewrite is None:
        return
    if rule.rewrite.authority:
        action.host_rewrite_literal = rule.rewrite.authority
    if rule.rewrite.uri is not None:
        action.prefix_rewrite = rule.rewrite.uri
    elif rule.rewrite.uri_regex_rewrite is not None:
        action.regex_rewrite.pattern.regex = rule.rewrite.uri_regex_rewrite.match
        action.regex_rewrite.substitution = rule.rewrite.uri_regex_rewrite.rewrite


def _set_authority(action: route_pb2.RouteAction, entry: HTTPRouteDestination) -> None:
    value = actions.authority(entry.headers)
    if value:
        action.host_rewrite_literal = value


def _mirrors(rule: HTTPRoute) -> list[tuple[Destination, float]]:
    found = []
    if rule.mirror is not None:
        found.append((rule.mirror, actions.share(rule.mirror_percentage, rule.mirror_percent)))
    found.extend((entry.destination, actions.share(entry.percentage)) for entry in rule.mirrors)
    return [(destination, fraction) for destination, fraction in found if fraction > 0]


def _port(destination: Destination, target: Target, around: Surroundings) -> int:
    """The port named, else the only one that the service has, else the listener's."""
    if destination.port is not None and destination.port.number is not None:
        return destination.port.number
    if target.service is not None and len(target.service.ports) == 1:
        return target.service.ports[0].number
    return around.port


def _cluster(destination: Destination, namespace: str, around: Surroundings) -> str:
    host = resolve(destination.host, namespace, around.domain)
    return names.outbound(_port(destination, around.targets[host], around), destination.subset or "", host)


def _hashing(destination: Destination, namespace: str, around: Surroundings) -> ConsistentHashLB | None:
    target = around.targets[resolve(destination.host, namespace, around.domain)]
    return target.hashing(_port(destination, target, around), destination.subset)
