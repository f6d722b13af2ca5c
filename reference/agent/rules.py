"""The packet rules that bring a pod's TCP traffic to its Envoy: annotations in, one nft script out. Pure.

Outbound (hook output), first match decides, as Istio's interception orders it:
 1. from 127.0.0.6 through loopback: Envoy passing inbound traffic on to the application: let go;
 2. from the proxy through loopback to another address than 127.0.0.1: the pod called itself through a service: inbound;
 3. from anyone else through loopback: the application talks to itself: let go;
 4. from the proxy's user or group: let go, or it would loop;
 5. to loopback, to excluded ports and ranges: let go; ranges and ports that are included are captured;
 6. everything else: to the proxy's outbound port.
Inbound (hook prerouting): all TCP but the proxy's own ports and the excluded ones, to the proxy's inbound port.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reference.agent.settings import (
    AGENT_PORT,
    ENVOY_METRICS_PORT,
    HBONE_PORT,
    HEALTH_PORT,
    INBOUND_PORT,
    OUTBOUND_PORT,
    PROXY_UID,
)

PREFIX = "traffic.sidecar.istio.io/"
NEVER_INBOUND = (HBONE_PORT, ENVOY_METRICS_PORT, HEALTH_PORT, AGENT_PORT)
TABLE = "istio"


class BadAnnotation(ValueError):
    """An interception annotation that cannot be read."""


@dataclass(frozen=True, slots=True)
class Interception:
    """What is captured. None for an include list means everything; an empty one nothing."""

    include_inbound_ports: tuple[int, ...] | None = None
    exclude_inbound_ports: tuple[int, ...] = ()
    include_outbound_ports: tuple[int, ...] = ()
    exclude_outbound_ports: tuple[int, ...] = ()
    include_outbound_ranges: tuple[str, ...] | None = None
    exclude_outbound_ranges: tuple[str, ...] = ()
    uid: int = field(default=PROXY_UID)


def _ports(name: str, text: str) -> tuple[int, ...]:
    ports = []
    for part in filter(None, (each.strip() for each in text.split(","))):
        if not part.isdigit() or not 0 < int(part) < 65536:
            raise BadAnnotation(f"{PREFIX}{name}: expected ports separated by commas or *, got {part!r}")
        ports.append(int(part))
    return tuple(sorted(set(ports)))


def _ranges(name: str, text: str) -> tuple[str, ...]:
    ranges = []
    for part in filter(None, (each.strip() for each in text.split(","))):
        try:
            ranges.append(str(ipaddress.ip_network(part, strict=False)))
        except ValueError as error:
            raise BadAnnotation(f"{PREFIX}{name}: expected ranges as 10.0.0.0/8 or *, got {part!r}") from error
    return tuple(ranges)


def from_annotations(annotations: Mapping[str, str]) -> Interception:
    """The interception that a pod's annotations ask for. Raises BadAnnotation."""

    def text(name: str) -> str:
        return annotations.get(PREFIX + name, "")

    inbound = annotations.get(PREFIX + "includeInboundPorts", "*").strip()
    ranges = annotations.get(PREFIX + "includeOutboundIPRanges", "*").strip()
    return Interception(
        include_inbound_ports=None if inbound == "*" else _ports("includeInboundPorts", inbound),
        exclude_inbound_ports=_ports("excludeInboundPorts", text("excludeInboundPorts")),
        include_outbound_ports=_ports("includeOutboundPorts", text("includeOutboundPorts")),
        exclude_outbound_ports=_ports("excludeOutboundPorts", text("excludeOutboundPorts")),
        include_outbound_ranges=None if ranges == "*" else _ranges("includeOutboundIPRanges", ranges),
        exclude_outbound_ranges=_ranges("excludeOutboundIPRanges", text("excludeOutboundIPRanges")),
    )


def _set(values: Sequence[int | str]) -> str:
    return "{ " + ", ".join(str(value) for value in values) + " }"


def _by_family(ranges: Sequence[str]) -> list[tuple[str, str]]:
    """(nft match, set) for the IPv4 and the IPv6 ranges, without families that have none."""
    four = [each for each in ranges if ":" not in each]
    six = [each for each in ranges if ":" in each]
    return [(match, _set(each)) for match, each in (("ip daddr", four), ("ip6 daddr", six)) if each]


def nft_script(rules: Interception) -> str:
    """An nft script that replaces the whole table in one transaction, so that running it twice does no harm."""
    inbound, outbound, uid = f"redirect to :{INBOUND_PORT}", f"redirect to :{OUTBOUND_PORT}", rules.uid
    prerouting = [f"tcp dport {_set(sorted({*NEVER_INBOUND, *rules.exclude_inbound_ports}))} return"]
    if rules.include_inbound_ports is None:
        prerouting.append(f"meta l4proto tcp {inbound}")
    elif rules.include_inbound_ports:
        prerouting.append(f"tcp dport {_set(rules.include_inbound_ports)} {inbound}")
    output = ['oifname "lo" ip saddr 127.0.0.6 return', 'oifname "lo" ip6 saddr ::6 return']
    for who in ("skuid", "skgid"):
        for family, home in (("ip", "127.0.0.1"), ("ip6", "::1")):
            output.append(f'meta {who} {uid} oifname "lo" {family} daddr != {home} tcp dport != {HBONE_PORT} {inbound}')
    output += [
        f'meta skuid != {uid} meta skgid != {uid} oifname "lo" return',
        f"meta skuid {uid} return",
        f"meta skgid {uid} return",
        "ip daddr 127.0.0.0/8 return",
        "ip6 daddr ::1 return",
    ]
    if rules.exclude_outbound_ports:
        output.append(f"tcp dport {_set(rules.exclude_outbound_ports)} return")
    output += [f"{match} {each} return" for match, each in _by_family(rules.exclude_outbound_ranges)]
    if rules.include_outbound_ports:
        output.append(f"tcp dport {_set(rules.include_outbound_ports)} {outbound}")
    if rules.include_outbound_ranges is None:
        output.append(f"meta l4proto tcp {outbound}")
    else:
        output += [
            f"{match} {each} meta l4proto tcp {outbound}" for match, each in _by_family(rules.include_outbound_ranges)
        ]
    lines = [f"table inet {TABLE}", f"delete table inet {TABLE}", f"table inet {TABLE} {{"]
    lines += ["  chain prerouting {", "    type nat hook prerouting priority -100; policy accept;"]
    lines += [f"    {rule}" for rule in prerouting]
    lines += ["  }", "  chain output {", "    type nat hook output priority -100; policy accept;"]
    lines += [f"    {rule}" for rule in output]
    lines += ["  }", "}"]
    return "\n".join(lines) + "\n"
