"""VirtualServices with their delegates merged in.

A route that delegates is replaced by the delegate's routes, each with the conjunction of both matches and with the
root's settings where the delegate has none
(https://istio.io/latest/docs/reference/config/networking/virtual-service/#Delegate).
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from reference.api import VirtualService
from reference.api.http import HTTPMatchRequest, HTTPRoute, StringMatch
from reference.controlplane.config.hosts import resolve
from reference.controlplane.config.store import Config, Key
from reference.controlplane.config.visibility import is_visible


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """What a VirtualService says once names are full and delegates are merged. Same object while nothing changes."""

    config: Config[VirtualService]
    hosts: tuple[str, ...]
    http: tuple[HTTPRoute, ...]
    namespaces: tuple[str, ...]
    """Beside each HTTP route, the namespace its short names belong to."""
    delegates: tuple[Config[VirtualService], ...] = ()

    @property
    def model(self) -> VirtualService:
        return self.config.model

    @property
    def namespace(self) -> str:
        return self.config.namespace


def merge(
    config: Config[VirtualService],
    by_key: Mapping[Key, Config[VirtualService]],
    domain: str,
    default_export: tuple[str, ...],
    previous: Rules | None = None,
) -> Rules:
    """The rules of a root VirtualService. A missing or invisible delegate leaves its route out."""
    used: list[Config[VirtualService]] = []
    for route in config.model.http:
        found = _find(route, config, by_key, default_export)
        if found is not None:
            used.append(found)
    delegates = tuple(used)
    if previous is not None and previous.config is config and previous.delegates == delegates:
        return previous
    routes: list[HTTPRoute] = []
    namespaces: list[str] = []
    for route in config.model.http:
        if route.delegate is None:
            routes.append(route)
            namespaces.append(config.namespace)
            continue
        found = _find(route, config, by_key, default_export)
        for inner in found.model.http if found is not None else ():
            combined = combine(route, inner)
            if combined is not None:
                routes.append(combined)
                namespaces.append(found.namespace if found is not None else "")
    hosts = tuple(resolve(host, config.namespace, domain) for host in config.model.hosts)
    return Rules(config, hosts, tuple(routes), tuple(namespaces), delegates)


def _find(
    route: HTTPRoute,
    config: Config[VirtualService],
    by_key: Mapping[Key, Config[VirtualService]],
    default_export: tuple[str, ...],
) -> Config[VirtualService] | None:
    if route.delegate is None:
        return None
    found = by_key.get((route.delegate.namespace or config.namespace, route.delegate.name))
    if found is None or not found.model.is_delegate:
        return None
    visible = is_visible(found.model.export_to, default_export, found.namespace, config.namespace)
    return found if visible else None


_INHERITED = (
    "rewrite",
    "timeout",
    "retries",
    "fault",
    "mirror",
    "mirror_percent",
    "mirror_percentage",
    "cors_policy",
    "headers",
)


def combine(root: HTTPRoute, inner: HTTPRoute) -> HTTPRoute | None:
    """One route of a delegate under its root's route; None when no request can match both."""
    matches: list[HTTPMatchRequest] = []
    if root.match and inner.match:
        for outer in root.match:
            for own in inner.match:
                both = _both(outer, own)
                if both is not None:
                    matches.append(both)
        if not matches:
            return None
    else:
        matches.extend(root.match or inner.match)
    changes: dict[str, object] = {
        name: getattr(root, name)
        for name in _INHERITED
        if getattr(inner, name) is None and getattr(root, name) is not None
    }
    if not inner.mirrors and inner.mirror is None and root.mirrors:
        changes["mirrors"] = root.mirrors
    name = "-".join(part for part in (root.name, inner.name) if part) or None
    return dataclasses.replace(inner, name=name, match=tuple(matches), **changes)  # type: ignore[arg-type]


def _both(root: HTTPMatchRequest, own: HTTPMatchRequest) -> HTTPMatchRequest | None:
    """The match that holds where both hold; None where they contradict each other."""
    if root.port is not None and own.port is not None and root.port != own.port:
        return None
    if root.source_namespace and own.source_namespace and root.source_namespace != own.source_namespace:
        return None
    if root.gateways and own.gateways and not set(root.gateways) & set(own.gateways):
        return None
    single: dict[str, object] = {}
    for field in ("uri", "scheme", "method", "authority"):
        first, second = getattr(root, field), getattr(own, field)
        if first is not None and second is not None:
            narrower = _narrower(first, second, root.ignore_uri_case and field == "uri")
            if narrower is None:
                return None
            single[field] = narrower
        else:
            single[field] = first or second
    return HTTPMatchRequest(
        name="-".join(part for part in (root.name, own.name) if part) or None,
        headers={**root.headers, **own.headers},
        without_headers={**root.without_headers, **own.without_headers},
        query_params={**root.query_params, **own.query_params},
        source_labels={**root.source_labels, **own.source_labels},
        source_namespace=own.source_namespace or root.source_namespace,
        gateways=tuple(own.gateways or root.gateways),
        port=own.port or root.port,
        ignore_uri_case=root.ignore_uri_case or own.ignore_uri_case,
        stat_prefix=own.stat_prefix or root.stat_prefix,
        **single,  # type: ignore[arg-type]
    )


def _narrower(root: StringMatch, own: StringMatch, ignore_case: bool) -> StringMatch | None:
    def fold(text: str) -> str:
        return text.lower() if ignore_case else text

    if root.prefix is not None and own.prefix is not None:
        return own if fold(own.prefix).startswith(fold(root.prefix)) else None
    if root.prefix is not None and own.exact is not None:
        return own if fold(own.exact).startswith(fold(root.prefix)) else None
    if root.exact is not None and own.exact is not None:
        return own if fold(own.exact) == fold(root.exact) else None
    return None
