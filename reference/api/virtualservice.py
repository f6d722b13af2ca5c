# ruff: noqa: RUF009 - `spec` declares a field; its defaults are immutable
"""VirtualService (`networking.istio.io/v1`): https://istio.io/latest/docs/reference/config/networking/virtual-service/"""

from collections.abc import Mapping
from dataclasses import dataclass

from reference.api import checks
from reference.api.errors import Errors
from reference.api.http import Destination, HTTPRoute
from reference.api.kinds import INT32, PORT, TEXT, TEXT_MAP, TEXTS, Many, Text
from reference.api.message import Message, Sub, spec
from reference.api.resource import Column, ResourceType, register

MESH_GATEWAY = "mesh"
_SUBNETS = Many(Text((checks.subnet,)))


@dataclass(frozen=True, slots=True)
class RouteDestination(Message):
    destination: Destination = spec(Sub(Destination), required=True, default=Destination())
    weight: int = spec(INT32, default=0)


@dataclass(frozen=True, slots=True)
class L4MatchAttributes(Message):
    destination_subnets: tuple[str, ...] = spec(_SUBNETS)
    port: int | None = spec(PORT)
    source_subnet: str | None = spec(Text((checks.subnet,)))
    source_labels: Mapping[str, str] = spec(TEXT_MAP)
    gateways: tuple[str, ...] = spec(TEXTS)
    source_namespace: str | None = spec(TEXT)


@dataclass(frozen=True, slots=True)
class TLSMatchAttributes(Message):
    sni_hosts: tuple[str, ...] = spec(Many(Text((checks.wildcard_host,)), min_items=1), required=True)
    destination_subnets: tuple[str, ...] = spec(_SUBNETS)
    port: int | None = spec(PORT)
    source_labels: Mapping[str, str] = spec(TEXT_MAP)
    gateways: tuple[str, ...] = spec(TEXTS)
    source_namespace: str | None = spec(TEXT)


@dataclass(frozen=True, slots=True)
class TCPRoute(Message):
    match: tuple[L4MatchAttributes, ...] = spec(Many(Sub(L4MatchAttributes)))
    route: tuple[RouteDestination, ...] = spec(Many(Sub(RouteDestination), min_items=1), required=True)

    def check(self, at: str, errors: Errors) -> None:
        _check_weights(self.route, at, errors)


@dataclass(frozen=True, slots=True)
class TLSRoute(Message):
    match: tuple[TLSMatchAttributes, ...] = spec(Many(Sub(TLSMatchAttributes), min_items=1), required=True)
    route: tuple[RouteDestination, ...] = spec(Many(Sub(RouteDestination), min_items=1), required=True)

    def check(self, at: str, errors: Errors) -> None:
        _check_weights(self.route, at, errors)


def _check_weights(route: tuple[RouteDestination, ...], at: str, errors: Errors) -> None:
    if len(route) > 1 and not sum(entry.weight for entry in route):
        errors.add(f"{at}.route", "weights with a sum above 0", 0, "give each destination a weight")


@dataclass(frozen=True, slots=True)
class VirtualService(Message):
    hosts: tuple[str, ...] = spec(Many(Text((checks.wildcard_host,))))
    gateways: tuple[str, ...] = spec(TEXTS)
    http: tuple[HTTPRoute, ...] = spec(Many(Sub(HTTPRoute)))
    tls: tuple[TLSRoute, ...] = spec(Many(Sub(TLSRoute)))
    tcp: tuple[TCPRoute, ...] = spec(Many(Sub(TCPRoute)))
    export_to: tuple[str, ...] = spec(Many(Text((checks.export_to,))))

    @property
    def is_delegate(self) -> bool:
        """Without hosts it only serves others that delegate to it."""
        return not self.hosts

    @property
    def in_mesh(self) -> bool:
        """Applies to sidecars."""
        return not self.gateways or MESH_GATEWAY in self.gateways

    def check(self, at: str, errors: Errors) -> None:
        if not (self.http or self.tls or self.tcp):
            errors.add(at, "at least one of http, tls, tcp", None)
        for index, host in enumerate(self.hosts):
            if host in self.hosts[:index]:
                errors.add(f"{at}.hosts[{index}]", "each host once", host)
            if host == "*" and self.in_mesh:
                errors.add(f"{at}.hosts[{index}]", "a host; '*' only with gateways and without 'mesh'", host)
        for index, gateway in enumerate(self.gateways):
            namespace, _, name = gateway.rpartition("/")
            if (namespace and checks.dns_label(namespace)) or checks.fqdn(name):
                errors.add(f"{at}.gateways[{index}]", "a gateway's name or namespace/name", gateway)
        if self.is_delegate:
            self._check_delegate(at, errors)
        else:
            self._check_tls(at, errors)

    def _check_delegate(self, at: str, errors: Errors) -> None:
        hint = "a VirtualService without hosts only serves others that delegate to it"
        for json, given in (("tls", self.tls), ("tcp", self.tcp), ("gateways", self.gateways)):
            if given:
                errors.add(f"{at}.{json}", f"no {json} without hosts", f"{len(given)} entries", hint)
        for index, route in enumerate(self.http):
            where = f"{at}.http[{index}]"
            if route.delegate is not None:
                errors.add(f"{where}.delegate", "no further delegate in a delegate", route.delegate.name, hint)
            for number, match in enumerate(route.match):
                if match.has_regex:
                    errors.add(f"{where}.match[{number}]", "no regex in a delegate's match", "a regex", hint)
                if match.gateways:
                    errors.add(f"{where}.match[{number}].gateways", "no gateways in a delegate", match.gateways, hint)

    def _check_tls(self, at: str, errors: Errors) -> None:
        for index, route in enumerate(self.tls):
            for number, match in enumerate(route.match):
                for position, sni in enumerate(match.sni_hosts):
                    if not any(covers(host, sni) for host in self.hosts):
                        where = f"{at}.tls[{index}].match[{number}].sniHosts[{position}]"
                        errors.add(where, "a name covered by spec.hosts", sni)


def covers(pattern: str, host: str) -> bool:
    """Whether every name that `host` stands for is one that `pattern` stands for (`*.b.c` covers `a.b.c`)."""
    if pattern in ("*", host):
        return True
    if pattern.startswith("*"):
        suffix = pattern[1:]
        return host.removeprefix("*").endswith(suffix) and len(host) >= len(suffix)
    return False


VIRTUAL_SERVICE = register(
    ResourceType(
        group="networking.istio.io",
        kind="VirtualService",
        plural="virtualservices",
        short_names=("vs",),
        model=VirtualService,
        columns=(
            Column(
                "Gateways", "string", ".spec.gateways", "The names of gateways and sidecars that apply these routes"
            ),
            Column("Hosts", "string", ".spec.hosts", "The hosts to which traffic is sent"),
        ),
    )
)
