"""Which names the cluster's domain has: pure, after https://github.com/kubernetes/dns/blob/master/docs/specification.md.

`Zone.find` says what a name stands for, as plain data; `dns_answers` makes messages of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Protocol

from meshtest.embedded.network.services_model import cluster_ips

Obj = dict[str, Any]
Key = tuple[str, str]
Labels = tuple[str, ...]
"""A name below the domain, most specific label first, lower case."""


class View(Protocol):
    """Services and their slices; a ServiceWatch is one."""

    def names(self) -> Iterable[Key]:
        """(namespace, name) of every Service."""

    def service(self, key: Key) -> Obj | None:
        """One Service."""

    def slices(self, key: Key) -> list[Obj]:
        """Its EndpointSlices."""


@dataclass(frozen=True, slots=True)
class Srv:
    """A port to connect to and the name of who listens there, below the domain; its addresses come along."""

    port: int
    target: Labels
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What a name that exists stands for: addresses of both families, ports, or another name altogether."""

    addresses: tuple[str, ...] = ()
    ports: tuple[Srv, ...] = ()
    alias: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class _Target:
    """One endpoint of a headless Service."""

    host: str
    addresses: tuple[str, ...]
    ports: tuple[tuple[str, str, int], ...]  # name, protocol in lower case, number


def dashed(address: str) -> str:
    """An address as a label: 10-244-0-3."""
    return address.replace(".", "-").replace(":", "-")


def undashed(label: str) -> str | None:
    """The address of such a label, or None."""
    for candidate in (label.replace("-", "."), label.replace("-", ":")):
        try:
            return str(ip_address(candidate))
        except ValueError:
            continue
    return None


def _targets(service: Obj, slices: Sequence[Obj]) -> Iterator[_Target]:
    unready_too = bool(service["spec"].get("publishNotReadyAddresses"))
    for slice_ in slices:
        if slice_.get("addressType") == "FQDN":
            continue
        ports = tuple(
            (port.get("name") or "", (port.get("protocol") or "TCP").lower(), port.get("port") or 0)
            for port in slice_.get("ports") or ()
        )
        for endpoint in slice_.get("endpoints") or ():
            ready = (endpoint.get("conditions") or {}).get("ready") is not False
            addresses = tuple(endpoint.get("addresses") or ())
            if addresses and (ready or unready_too):
                yield _Target(endpoint.get("hostname") or dashed(addresses[0]), addresses, ports)


def _matches(wanted: str | None, name: str) -> bool:
    return wanted is None or wanted == name.lower()


class Zone:
    """The names of one cluster's domain, read from a view when asked.

    dns_address: what ``ns.dns`` below the domain stands for.
    """

    def __init__(self, view: View, dns_address: str | None = None) -> None:
        self._view = view
        self._dns_address = dns_address
        self._reverse: dict[str, tuple[Labels, ...]] | None = None

    def changed(self) -> None:
        """The view has changed: forget what was derived from it."""
        self._reverse = None

    def find(self, labels: Labels) -> Found | None:
        """What the name stands for; None: there is no such name. A name that only has others below it is an empty
        Found.
        """
        if not labels:
            return Found()
        *below, last = labels
        if labels == ("dns-version",):
            return Found(text="1.1.0")
        if labels == ("ns", "dns"):
            return Found((self._dns_address,) if self._dns_address else ())
        if last == "svc":
            return self._service_name(tuple(below))
        if last == "pod":
            return self._pod_name(tuple(below))
        return None

    def reverse(self, address: str) -> tuple[Labels, ...]:
        """The names of an address: of the Service whose virtual address it is, or of headless Services' endpoints."""
        if self._reverse is None:
            self._reverse = self._reversed()
        return self._reverse.get(address, ())

    def _has_namespace(self, namespace: str) -> bool:
        return any(known == namespace for known, _ in self._view.names())

    def _service_name(self, below: Labels) -> Found | None:
        if not below:
            return Found()
        *rest, namespace = below
        if not rest:
            return Found() if self._has_namespace(namespace) else None
        *inner, name = rest
        key = (namespace, name)
        service = self._view.service(key)
        if service is None or len(inner) > 2:
            return None
        if service["spec"].get("type") == "ExternalName":
            return None if inner else self._external(service["spec"].get("externalName") or "")
        headless = not cluster_ips(service)
        if len(inner) == 1:
            return self._endpoint_host(key, service, inner[0]) if not inner[0].startswith("_") else None
        port = protocol = None
        if inner:
            if not all(label.startswith("_") for label in inner):
                return None
            port, protocol = inner[0][1:], inner[1][1:]
        if headless:
            return self._headless(key, service, port, protocol)
        return self._virtual(key, service, port, protocol)

    @staticmethod
    def _external(name: str) -> Found | None:
        try:
            return Found((str(ip_address(name)),))  # as CoreDNS does with an address for a name
        except ValueError:
            return Found(alias=name) if name else None

    def _virtual(self, key: Key, service: Obj, port: str | None, protocol: str | None) -> Found | None:
        addresses = tuple(cluster_ips(service))
        target = (key[1], key[0], "svc")
        ports = tuple(
            Srv(entry["port"], target, addresses)
            for entry in service["spec"].get("ports") or ()
            if _matches(port, entry.get("name") or "") and _matches(protocol, entry.get("protocol") or "TCP")
        )
        if port is not None:
            return Found(ports=ports) if ports else None
        return Found(addresses, ports)

    def _headless(self, key: Key, service: Obj, port: str | None, protocol: str | None) -> Found | None:
        addresses: dict[str, None] = {}
        ports: dict[Srv, None] = {}
        for target in _targets(service, self._view.slices(key)):
            addresses.update(dict.fromkeys(target.addresses))
            for name, transport, number in target.ports:
                if _matches(port, name) and _matches(protocol, transport):
                    ports[Srv(number, (target.host.lower(), key[1], key[0], "svc"), target.addresses)] = None
        if port is not None:
            return Found(ports=tuple(ports)) if ports else None
        # without a ready endpoint the name does not exist: section 2.4.1
        return Found(tuple(addresses), tuple(ports)) if addresses else None

    def _endpoint_host(self, key: Key, service: Obj, host: str) -> Found | None:
        addresses: dict[str, None] = {}
        for target in _targets(service, self._view.slices(key)):
            if target.host.lower() == host:
                addresses.update(dict.fromkeys(target.addresses))
        return Found(tuple(addresses)) if addresses else None

    def _pod_name(self, below: Labels) -> Found | None:
        if not below:
            return Found()
        if len(below) == 1:
            return Found() if self._has_namespace(below[0]) else None
        address = undashed(below[0]) if len(below) == 2 else None
        return Found((address,)) if address else None

    def _reversed(self) -> dict[str, tuple[Labels, ...]]:
        names: dict[str, dict[Labels, None]] = {}
        for key in self._view.names():
            service = self._view.service(key)
            if service is None or service["spec"].get("type") == "ExternalName":
                continue
            below = (key[1], key[0], "svc")
            virtual = cluster_ips(service)
            for address in virtual:
                names.setdefault(str(ip_address(address)), {})[below] = None
            for target in _targets(service, self._view.slices(key)) if not virtual else ():
                for address in target.addresses:
                    names.setdefault(str(ip_address(address)), {})[(target.host.lower(), *below)] = None
        return {address: tuple(found) for address, found in names.items()}
