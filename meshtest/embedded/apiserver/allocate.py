"""Cluster addresses and node ports of Services. What is taken is read from the stored Services, so that there is no
second truth to keep; the set is cached and kept by the store's own events.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from .admission import Attributes
from .errors import StatusError, invalid, invalid_object
from .store import Event, Store

Obj = dict[str, Any]
NODE_PORTS = range(30000, 32768)


class ServiceAllocator:
    """First free address of each range, in order; node ports likewise."""

    def __init__(self, store: Store, cidrs: tuple[str, ...]) -> None:
        self._networks = [ipaddress.ip_network(cidr) for cidr in cidrs]
        self._taken: dict[str, str] = {}
        self._ports: dict[int, str] = {}
        self._next: list[int] = [16] * len(self._networks)
        self._next_port = NODE_PORTS.start
        store.collection("services").listen(self, self._on_event)

    def _on_event(self, event: Event) -> None:
        if event.previous is not None:
            self._forget(event.previous.obj)
        if event.type != "DELETED":
            spec = event.item.obj["spec"]
            for address in spec.get("clusterIPs") or []:
                self._taken[address] = event.item.uid
            for port in _node_ports(spec):
                self._ports[port] = event.item.uid

    def _forget(self, service: Obj) -> None:
        for address in service["spec"].get("clusterIPs") or []:
            self._taken.pop(address, None)
        for port in _node_ports(service["spec"]):
            self._ports.pop(port, None)

    def reserve(self, attributes: Attributes, obj: Obj, old: Obj | None) -> None:
        if attributes.kind.key != "services" or attributes.subresource:
            return
        spec = obj["spec"]
        if spec["type"] == "ExternalName":
            for key in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                spec.pop(key, None)
            return
        self._addresses(obj, old)
        if spec["type"] in ("NodePort", "LoadBalancer"):
            self._node_port(obj)

    def _addresses(self, obj: Obj, old: Obj | None) -> None:
        spec = obj["spec"]
        uid = obj["metadata"]["uid"]
        families = self._families(spec)
        spec["ipFamilies"] = families
        spec["ipFamilyPolicy"] = spec.get("ipFamilyPolicy") or "SingleStack"
        if spec.get("clusterIP") == "None":
            spec["clusterIPs"] = ["None"]
            return
        wanted = list(spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else []))
        if old is not None and wanted == (old["spec"].get("clusterIPs") or []) and len(wanted) == len(families):
            return
        for address in wanted:
            self._check(obj, address, uid)
        for family in families[len(wanted) :]:
            wanted.append(self._free(family))
        spec["clusterIPs"], spec["clusterIP"] = wanted, wanted[0]

    def _families(self, spec: Obj) -> list[str]:
        have = [f"IPv{network.version}" for network in self._networks]
        policy = spec.get("ipFamilyPolicy") or "SingleStack"
        given = [family for family in spec.get("ipFamilies") or [] if family in have]
        first = given[0] if given else self._family_of(spec.get("clusterIP")) or have[0]
        if policy == "SingleStack":
            return [first]
        others = [family for family in have if family != first]
        return [first, *others[:1]]

    @staticmethod
    def _family_of(address: str | None) -> str:
        try:
            return f"IPv{ipaddress.ip_address(address or '').version}"
        except ValueError:
            return ""

    def _check(self, obj: Obj, address: str, uid: str) -> None:
        name = obj["metadata"]["name"]
        path = "spec.clusterIPs"
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            raise invalid_object(
                "",
                "Service",
                name,
                [invalid(f"{path}[0]", address, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")],
            ) from None
        if not any(parsed in network for network in self._networks):
            listed = ", ".join(str(network) for network in self._networks)
            why = (
                f"failed to allocate IP {address}: the provided IP ({address}) is not in the valid range. "
                f"The range of valid IPs is {listed}"
            )
            raise invalid_object("", "Service", name, [invalid(path, [address], why)])
        if self._taken.get(address, uid) != uid:
            why = f"failed to allocate IP {address}: provided IP is already allocated"
            raise invalid_object("", "Service", name, [invalid(path, [address], why)])

    def _free(self, family: str) -> str:
        index = next(i for i, network in enumerate(self._networks) if f"IPv{network.version}" == family)
        network = self._networks[index]
        size = min(network.num_addresses - 2, 1 << 20)
        for step in range(size):
            offset = 1 + (self._next[index] + step) % size
            address = str(network[offset])
            if offset >= 16 and address not in self._taken:
                self._next[index] = offset
                return address
        raise StatusError(500, "InternalError", f"failed to allocate a serviceIP: range {network} is full")

    def _node_port(self, obj: Obj) -> None:
        uid = obj["metadata"]["uid"]
        mine: set[int] = set()
        for index, port in enumerate(obj["spec"].get("ports") or []):
            number = port.get("nodePort")
            path = f"spec.ports[{index}].nodePort"
            if number:
                if number not in NODE_PORTS:
                    why = "provided port is not in the valid range. The range of valid ports is 30000-32767"
                elif self._ports.get(number, uid) != uid:
                    why = "provided port is already allocated"
                else:
                    mine.add(number)
                    continue
                raise invalid_object("", "Service", obj["metadata"]["name"], [invalid(path, number, why)])
            port["nodePort"] = self._free_port(mine)
            mine.add(port["nodePort"])

    def _free_port(self, also_taken: set[int]) -> int:
        for step in range(len(NODE_PORTS)):
            number = NODE_PORTS.start + (self._next_port - NODE_PORTS.start + step) % len(NODE_PORTS)
            if number not in self._ports and number not in also_taken:
                self._next_port = number + 1
                return number
        raise StatusError(500, "InternalError", "failed to allocate a nodePort: range 30000-32767 is full")


def _node_ports(spec: Obj) -> list[int]:
    return [port["nodePort"] for port in spec.get("ports") or [] if port.get("nodePort")]
