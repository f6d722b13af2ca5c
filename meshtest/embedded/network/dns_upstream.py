"""Asks other DNS servers, one after the other, over UDP and on truncation over TCP."""

from __future__ import annotations

from collections.abc import Iterable

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.rdatatype

TIMEOUT_SECONDS = 2.0


class Upstreams:
    """Servers by address, in the order they are tried. False when there are none."""

    def __init__(self, addresses: Iterable[str]) -> None:
        self._addresses = tuple(addresses)

    def __bool__(self) -> bool:
        return bool(self._addresses)

    async def ask(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> dns.message.Message | None:
        """The first server's answer, or None when none answers in time."""
        query = dns.message.make_query(name, rdtype, use_edns=0, payload=4096)
        for address in self._addresses:
            try:
                answer, _ = await dns.asyncquery.udp_with_fallback(query, address, timeout=TIMEOUT_SECONDS)
            except (dns.exception.DNSException, OSError):
                continue
            return answer
        return None
