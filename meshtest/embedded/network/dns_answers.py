"""From a DNS question to the cluster's answer, or to the news that another server must be asked: pure.

dnspython serves as codec only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.NS
import dns.rdtypes.ANY.PTR
import dns.rdtypes.ANY.SOA
import dns.rdtypes.ANY.TXT
import dns.rdtypes.IN.A
import dns.rdtypes.IN.AAAA
import dns.rdtypes.IN.SRV
import dns.reversename
import dns.rrset

from meshtest.embedded.network.dns_zone import Found, Labels, Zone

TTL = 5
"""Seconds; CoreDNS' own default."""
MAX_ALIASES = 8
PLAIN_UDP = 512
LARGEST_UDP = 4096
_IN = dns.rdataclass.IN
_REVERSE = (dns.reversename.ipv4_reverse_domain, dns.reversename.ipv6_reverse_domain)


@dataclass(frozen=True, slots=True)
class Ask:
    """The chain of aliases leaves the cluster: what this name is, an upstream server must say."""

    name: dns.name.Name
    rdtype: dns.rdatatype.RdataType


def _record(cls: Callable[..., dns.rdata.Rdata], rdtype: dns.rdatatype.RdataType, *values: object) -> dns.rdata.Rdata:
    return cls(_IN, rdtype, *values)  # dnspython leaves its constructors untyped


def _address(address: str) -> dns.rdata.Rdata:
    if ":" in address:
        return _record(dns.rdtypes.IN.AAAA.AAAA, dns.rdatatype.AAAA, address)
    return _record(dns.rdtypes.IN.A.A, dns.rdatatype.A, address)


def _rrset(name: dns.name.Name, *records: dns.rdata.Rdata) -> dns.rrset.RRset:
    return dns.rrset.from_rdata_list(name, TTL, records)


class Answers:
    """Fills responses from a zone.

    domain: the cluster's, ``cluster.local``.
    """

    def __init__(self, zone: Zone, domain: str) -> None:
        self.zone = zone
        self._origin = dns.name.from_text(domain)

    def answer(self, query: dns.message.Message) -> tuple[dns.message.Message, Ask | None]:
        """The response, and what is to be asked elsewhere to complete it (its records are then appended)."""
        response = dns.message.make_response(query, recursion_available=True, our_payload=LARGEST_UDP)
        if query.opcode() != dns.opcode.QUERY:
            response.set_rcode(dns.rcode.NOTIMP)
            return response, None
        if len(query.question) != 1:
            response.set_rcode(dns.rcode.FORMERR)
            return response, None
        question = query.question[0]
        return response, self._chain(response, question.name, question.rdtype)

    def _chain(self, response: dns.message.Message, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> Ask | None:
        for _ in range(MAX_ALIASES):
            if any(name.is_subdomain(domain) for domain in _REVERSE):
                return self._reverse(response, name, rdtype)
            if not name.is_subdomain(self._origin):
                return Ask(name, rdtype)
            response.flags |= dns.flags.AA
            found = self.zone.find(self._below(name))
            if found is None:
                self._nothing(response, dns.rcode.NXDOMAIN)
                return None
            if found.alias is None:
                if not self._fill(response, name, rdtype, found):
                    self._nothing(response, dns.rcode.NOERROR)
                return None
            target = dns.name.from_text(found.alias)
            response.answer.append(_rrset(name, _record(dns.rdtypes.ANY.CNAME.CNAME, dns.rdatatype.CNAME, target)))
            if rdtype == dns.rdatatype.CNAME:
                return None
            name = target
        response.set_rcode(dns.rcode.SERVFAIL)
        return None

    def _below(self, name: dns.name.Name) -> Labels:
        return tuple(label.decode("ascii", "replace").lower() for label in name.relativize(self._origin).labels)

    def _named(self, labels: Labels) -> dns.name.Name:
        return dns.name.Name([label.encode() for label in labels]).concatenate(self._origin)

    def _fill(
        self, response: dns.message.Message, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, found: Found
    ) -> bool:
        everything = rdtype == dns.rdatatype.ANY
        for family in (dns.rdatatype.A, dns.rdatatype.AAAA):
            if everything or rdtype == family:
                self._addresses(response.answer, name, found.addresses, family)
        if found.ports and (everything or rdtype == dns.rdatatype.SRV):
            self._ports(response, name, found)
        if found.text is not None and (everything or rdtype == dns.rdatatype.TXT):
            text = _record(dns.rdtypes.ANY.TXT.TXT, dns.rdatatype.TXT, [found.text.encode()])
            response.answer.append(_rrset(name, text))
        if name == self._origin:
            if everything or rdtype == dns.rdatatype.SOA:
                response.answer.append(self._soa())
            if everything or rdtype == dns.rdatatype.NS:
                server = _record(dns.rdtypes.ANY.NS.NS, dns.rdatatype.NS, self._named(("ns", "dns")))
                response.answer.append(_rrset(name, server))
        return bool(response.answer) and response.answer[-1].rdtype != dns.rdatatype.CNAME

    @staticmethod
    def _addresses(
        section: list[dns.rrset.RRset],
        name: dns.name.Name,
        addresses: tuple[str, ...],
        family: dns.rdatatype.RdataType,
    ) -> None:
        records = [record for record in map(_address, addresses) if record.rdtype == family]
        if records:
            section.append(_rrset(name, *records))

    def _ports(self, response: dns.message.Message, name: dns.name.Name, found: Found) -> None:
        hosts: dict[Labels, tuple[str, ...]] = {}
        records = []
        weight = max(1, 100 // len(found.ports))  # as CoreDNS spreads it
        for srv in found.ports:
            target = self._named(srv.target)
            records.append(_record(dns.rdtypes.IN.SRV.SRV, dns.rdatatype.SRV, 0, weight, srv.port, target))
            hosts[srv.target] = srv.addresses
        response.answer.append(_rrset(name, *records))
        for labels, addresses in hosts.items():
            for family in (dns.rdatatype.A, dns.rdatatype.AAAA):
                self._addresses(response.additional, self._named(labels), addresses, family)

    def _reverse(
        self, response: dns.message.Message, name: dns.name.Name, rdtype: dns.rdatatype.RdataType
    ) -> Ask | None:
        try:
            address = str(ip_address(dns.reversename.to_address(name)))
        except (ValueError, dns.exception.DNSException):
            return Ask(name, rdtype)
        names = self.zone.reverse(address)
        if not names:
            return Ask(name, rdtype)
        response.flags |= dns.flags.AA
        if rdtype not in (dns.rdatatype.PTR, dns.rdatatype.ANY):
            self._nothing(response, dns.rcode.NOERROR)
            return None
        records = [_record(dns.rdtypes.ANY.PTR.PTR, dns.rdatatype.PTR, self._named(labels)) for labels in names]
        response.answer.append(_rrset(name, *records))
        return None

    def _soa(self) -> dns.rrset.RRset:
        server, admin = self._named(("ns", "dns")), self._named(("hostmaster",))
        soa = _record(dns.rdtypes.ANY.SOA.SOA, dns.rdatatype.SOA, server, admin, 1, 7200, 1800, 86400, TTL)
        return _rrset(self._origin, soa)

    def _nothing(self, response: dns.message.Message, rcode: dns.rcode.Rcode) -> None:
        response.set_rcode(rcode)
        response.authority.append(self._soa())


def wire(response: dns.message.Message, query: dns.message.Message, *, over_udp: bool) -> bytes:
    """The response's bytes; over UDP cut to what the asker takes (EDNS, else 512), with the truncation flag."""
    if not over_udp:
        return response.to_wire(max_size=65535)
    limit = min(max(query.payload, PLAIN_UDP), LARGEST_UDP) if query.edns >= 0 else PLAIN_UDP
    return response.to_wire(max_size=limit, prefer_truncation=True)
