"""The nft table that stands for all Services, and the difference between two states of it: pure.

One flat table. `services` maps (address, protocol, port) to a chain that picks among N endpoints, `endpoints` maps
(address, protocol, port, pick) to (address, port). There is one chain a number of endpoints, not one a Service: a
change moves a few map elements, and a connection costs two look-ups however many Services there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from meshtest.embedded.network.services_model import Backends, Frontend

TABLE = "inet meshtest-services"
MASQUERADE_MARK = 0x4000
_SEED = "0x6d657368"
_IP = {4: "ip", 6: "ip6"}
_ADDRESS = {4: "ipv4_addr", 6: "ipv6_addr"}
_PER_COMMAND = 500
"""Elements in one command: nft's parser slows down on very long lists."""

Elements = dict[str, str]
"""Key -> data, as nft spells them; in a set the data is empty."""


@dataclass(frozen=True, slots=True)
class Tables:
    """All elements, by map or set, and the chains they need."""

    elements: dict[str, Elements] = field(default_factory=dict)
    chains: frozenset[str] = frozenset()


def chain_name(family: int, count: int, sticky: bool) -> str:
    """The chain that picks one of `count` endpoints."""
    return f"{'sticky' if sticky else 'random'}{family}-{count}"


def _chain(name: str) -> list[str]:
    kind, count = name.split("-")
    family = int(kind[-1])
    ip = _IP[family]
    pick = f"jhash {ip} saddr mod {count} seed {_SEED}" if kind.startswith("sticky") else f"numgen random mod {count}"
    # by way of the mark: nft takes a map keyed by numgen itself (typeof), but later refuses further rules that use it
    key = f"{ip} daddr . meta l4proto . th dport . meta mark"
    return [f"meta mark set {pick}", f"dnat {ip} to {key} map @endpoints{family}"]


def tables(frontends: Mapping[Frontend, Backends]) -> Tables:
    """What the table must hold for these frontends."""
    elements: dict[str, Elements] = {}
    chains = set()

    def put(name: str, family: int, key: str, data: str = "") -> None:
        elements.setdefault(f"{name}{family}", {})[key] = data

    for frontend, backends in frontends.items():
        family = frontend.family
        key = f"{frontend.address} . {frontend.protocol} . {frontend.port}"
        if not backends.endpoints:
            put("refused", family, key)
            continue
        chain = chain_name(family, len(backends.endpoints), backends.sticky)
        chains.add(chain)
        put("services", family, key, f"goto {chain}")
        if backends.masquerade:
            put("outside", family, key)
        for index, (address, port) in enumerate(backends.endpoints):
            put("endpoints", family, f"{key} . {index}", f"{address} . {port}")
            put("itself", family, f"{address} . {address}")
    return Tables(elements, frozenset(chains))


def _sets(family: int) -> str:
    address = _ADDRESS[family]
    frontend = f"{address} . inet_proto . inet_service"
    return f"""  map services{family} {{ type {frontend} : verdict; }}
  map endpoints{family} {{ type {frontend} . mark : {address} . inet_service; }}
  set outside{family} {{ type {frontend}; }}
  set refused{family} {{ type {frontend}; }}
  set itself{family} {{ type {address} . {address}; }}
"""


def _frontend_rules(family: int) -> str:
    ip = _IP[family]
    key = f"{ip} daddr . meta l4proto . th dport"
    return f"""    {key} @outside{family} ct mark set {MASQUERADE_MARK:#x}
    {key} vmap @services{family}
"""


def _refusals(ranges: Mapping[int, list[str]]) -> str:
    """A connection that nothing serves ends at once; what has been translated has another address by now."""
    rules = "    ct status dnat accept\n"
    for family, ip in _IP.items():
        key = f"{ip} daddr . meta l4proto . th dport"
        conditions = [f"{key} @refused{family}"]
        if ranges[family]:
            conditions.append(f"{ip} daddr {{ {', '.join(ranges[family])} }} fib daddr type != local")
        for condition in conditions:
            rules += f"    {condition} meta l4proto tcp reject with tcp reset\n"
            rules += f"    {condition} reject with icmpx type port-unreachable\n"
    return rules


def _masquerading(sources: Mapping[int, str]) -> str:
    rules = ""
    for family, ip in _IP.items():
        # a plain masquerade would take any address of the node, that of DNS on its loopback not excepted
        replace = f"snat {ip} to {sources[family]}" if family in sources else "masquerade"
        of_family = f"meta nfproto ipv{family}"
        rules += f"    {of_family} ct mark {MASQUERADE_MARK:#x} {replace}\n"
        rules += f"    ct status dnat {ip} saddr . {ip} daddr @itself{family} {replace}\n"
    return rules


def skeleton(service_cidrs: Iterable[str], node_addresses: Iterable[str] = ()) -> str:
    """The table without elements and picking chains. Replaces what is there, in the same transaction.

    service_cidrs: ranges of virtual addresses; those that no Service has are refused rather than routed.
    node_addresses: what clients' addresses are replaced by where that is needed, at most one a family.
    """
    sources: dict[int, str] = {ip_address(address).version: address for address in node_addresses}
    ranges: dict[int, list[str]] = {4: [], 6: []}
    for cidr in service_cidrs:
        ranges[ip_network(cidr).version].append(cidr)
    translate = "".join(_frontend_rules(family) for family in _IP)
    refuse = _refusals(ranges)
    return f"""add table {TABLE}
delete table {TABLE}
table {TABLE} {{
{"".join(_sets(family) for family in _IP)}
  chain forwarded {{
    type nat hook prerouting priority dstnat; policy accept;
{translate}  }}
  chain local {{
    type nat hook output priority -100; policy accept;
{translate}  }}
  chain refuse-forwarded {{
    type filter hook prerouting priority dstnat + 10; policy accept;
{refuse}  }}
  chain refuse-local {{
    type filter hook output priority filter; policy accept;
{refuse}  }}
  chain masquerading {{
    type nat hook postrouting priority srcnat; policy accept;
{_masquerading(sources)}  }}
}}
"""


def _commands(verb: str, name: str, elements: Iterable[str]) -> Iterator[str]:
    listed = list(elements)
    for start in range(0, len(listed), _PER_COMMAND):
        chunk = ", ".join(listed[start : start + _PER_COMMAND])
        yield f"{verb} element {TABLE} {name} {{ {chunk} }}"


def _added(key: str, data: str) -> str:
    return f"{key} : {data}" if data else key


def change(before: Tables, after: Tables, existing_chains: Iterable[str] = ()) -> str:
    """The nft commands that lead from one state to the other; empty when there is nothing to do.

    existing_chains: picking chains that are in the table already; none is ever removed, as there are few.
    """
    lines = []
    for name in sorted(after.chains - before.chains - set(existing_chains)):
        lines.append(f"add chain {TABLE} {name}")
        lines += [f"add rule {TABLE} {name} {rule}" for rule in _chain(name)]
    additions = []
    for name in sorted({*before.elements, *after.elements}):
        old, new = before.elements.get(name, {}), after.elements.get(name, {})
        # an element's data cannot be altered in place: a changed one goes and comes in one transaction
        gone = [key for key, data in old.items() if new.get(key) != data]
        came = [_added(key, data) for key, data in new.items() if old.get(key) != data]
        if not name.startswith("itself"):  # shared between frontends, and harmless when left over
            lines += _commands("delete", name, gone)
        additions += list(_commands("add", name, came))
    return "\n".join([*lines, *additions, ""]) if lines or additions else ""
