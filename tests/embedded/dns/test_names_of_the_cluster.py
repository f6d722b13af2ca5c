"""Questions and answers, section by section of the Kubernetes DNS specification."""

from collections.abc import Iterable
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rrset
import pytest

from meshtest.embedded.network.dns_answers import Answers, Ask, wire
from meshtest.embedded.network.dns_zone import Zone

Obj = dict[str, Any]
Key = tuple[str, str]


class Cluster:
    """A view of fixed Services."""

    def __init__(self) -> None:
        http = [{"name": "http", "port": 80, "protocol": "TCP"}]
        both = [*http, {"name": "dns", "port": 53, "protocol": "UDP"}]
        self.services: dict[Key, Obj] = {
            ("default", "web"): {"clusterIP": "10.96.1.1", "clusterIPs": ["10.96.1.1", "fd00:96::1"], "ports": both},
            ("default", "db"): {"clusterIP": "None", "ports": http},
            ("default", "empty"): {"clusterIP": "None", "ports": http},
            ("default", "slow"): {"clusterIP": "None", "ports": http, "publishNotReadyAddresses": True},
            ("default", "near"): {"type": "ExternalName", "externalName": "web.default.svc.cluster.local"},
            ("default", "far"): {"type": "ExternalName", "externalName": "www.example.com."},
            ("default", "loop"): {"type": "ExternalName", "externalName": "loop.default.svc.cluster.local"},
        }
        unready = {"addresses": ["10.244.0.9"], "conditions": {"ready": False}}
        named = {"addresses": ["10.244.0.2"], "hostname": "db-0", "conditions": {"ready": True}}
        plain = {"addresses": ["10.244.0.3"], "conditions": {}}
        ports = [{"name": "http", "port": 8080, "protocol": "TCP"}]
        self.endpoints: dict[Key, list[Obj]] = {
            ("default", "db"): [{"addressType": "IPv4", "ports": ports, "endpoints": [named, plain, unready]}],
            ("default", "empty"): [{"addressType": "IPv4", "ports": ports, "endpoints": [unready]}],
            ("default", "slow"): [{"addressType": "IPv4", "ports": ports, "endpoints": [unready]}],
        }

    def names(self) -> Iterable[Key]:
        return self.services.keys()

    def service(self, key: Key) -> Obj | None:
        spec = self.services.get(key)
        return {"spec": spec} if spec else None

    def slices(self, key: Key) -> list[Obj]:
        return self.endpoints.get(key, [])


ANSWERS = Answers(Zone(Cluster(), "10.96.0.10"), "cluster.local")


def ask(name: str, rdtype: str = "A") -> dns.message.Message:
    response, elsewhere = ANSWERS.answer(dns.message.make_query(name, rdtype))
    assert elsewhere is None
    return response


def records(section: list[dns.rrset.RRset]) -> set[str]:
    return {f"{rrset.name} {record}" for rrset in section for record in rrset}


@pytest.mark.parametrize(
    ("name", "rdtype", "expected"),
    [
        ("web.default.svc.cluster.local", "A", {"10.96.1.1"}),
        ("WEB.Default.svc.Cluster.LOCAL", "A", {"10.96.1.1"}),
        ("web.default.svc.cluster.local", "AAAA", {"fd00:96::1"}),
        ("db.default.svc.cluster.local", "A", {"10.244.0.2", "10.244.0.3"}),
        ("slow.default.svc.cluster.local", "A", {"10.244.0.9"}),
        ("db-0.db.default.svc.cluster.local", "A", {"10.244.0.2"}),
        ("10-244-0-3.db.default.svc.cluster.local", "A", {"10.244.0.3"}),
        ("10-244-0-3.default.pod.cluster.local", "A", {"10.244.0.3"}),
        ("fd00--3.default.pod.cluster.local", "AAAA", {"fd00::3"}),
        ("dns-version.cluster.local", "TXT", {'"1.1.0"'}),
        ("cluster.local", "NS", {"ns.dns.cluster.local."}),
        ("ns.dns.cluster.local", "A", {"10.96.0.10"}),
        ("_http._tcp.web.default.svc.cluster.local", "SRV", {"0 100 80 web.default.svc.cluster.local."}),
        (
            "_http._tcp.db.default.svc.cluster.local",
            "SRV",
            {
                "0 50 8080 db-0.db.default.svc.cluster.local.",
                "0 50 8080 10-244-0-3.db.default.svc.cluster.local.",
            },
        ),
        ("1.1.96.10.in-addr.arpa", "PTR", {"web.default.svc.cluster.local."}),
        ("2.0.244.10.in-addr.arpa", "PTR", {"db-0.db.default.svc.cluster.local."}),
    ],
)
def test_what_exists(name: str, rdtype: str, expected: set[str]) -> None:
    response = ask(name, rdtype)
    assert response.rcode() == dns.rcode.NOERROR
    assert response.flags & dns.flags.AA
    asked = dns.name.from_text(name)
    assert records(response.answer) == {f"{asked} {value}" for value in expected}


@pytest.mark.parametrize(
    "name",
    [
        "nobody.default.svc.cluster.local",
        "web.nowhere.svc.cluster.local",
        "nowhere.svc.cluster.local",
        "empty.default.svc.cluster.local",
        "pod-9.db.default.svc.cluster.local",
        "10-244-0-9.db.default.svc.cluster.local",
        "x.web.default.svc.cluster.local",
        "_grpc._tcp.web.default.svc.cluster.local",
        "_http._udp.web.default.svc.cluster.local",
        "a.b.c.web.default.svc.cluster.local",
        "x.near.default.svc.cluster.local",
        "not-an-address.default.pod.cluster.local",
        "default.cluster.local",
        "web.default.svc.cluster.local.svc.cluster.local",
    ],
)
@pytest.mark.parametrize("rdtype", ["A", "AAAA", "SRV"])
def test_what_does_not_exist(name: str, rdtype: str) -> None:
    response = ask(name, rdtype)
    assert response.rcode() == dns.rcode.NXDOMAIN
    assert not response.answer
    assert [rrset.rdtype.name for rrset in response.authority] == ["SOA"]


@pytest.mark.parametrize(
    ("name", "rdtype"),
    [
        ("web.default.svc.cluster.local", "MX"),
        ("db.default.svc.cluster.local", "AAAA"),
        ("default.svc.cluster.local", "A"),
        ("svc.cluster.local", "A"),
        ("cluster.local", "A"),
        ("pod.cluster.local", "A"),
        ("10-244-0-3.default.pod.cluster.local", "AAAA"),
        ("_http._tcp.web.default.svc.cluster.local", "A"),
    ],
)
def test_names_without_records_of_that_type(name: str, rdtype: str) -> None:
    response = ask(name, rdtype)
    assert response.rcode() == dns.rcode.NOERROR
    assert not response.answer
    assert [rrset.rdtype.name for rrset in response.authority] == ["SOA"]


def test_services_to_connect_to_come_with_their_addresses() -> None:
    additional = records(ask("_http._tcp.db.default.svc.cluster.local", "SRV").additional)
    assert additional == {
        "db-0.db.default.svc.cluster.local. 10.244.0.2",
        "10-244-0-3.db.default.svc.cluster.local. 10.244.0.3",
    }


def test_an_alias_inside_is_followed() -> None:
    assert records(ask("near.default.svc.cluster.local").answer) == {
        "near.default.svc.cluster.local. web.default.svc.cluster.local.",
        "web.default.svc.cluster.local. 10.96.1.1",
    }
    nothing = ask("near.default.svc.cluster.local", "MX")
    assert len(nothing.answer) == 1
    assert nothing.authority


def test_an_alias_to_the_outside_is_to_be_asked_elsewhere() -> None:
    response, elsewhere = ANSWERS.answer(dns.message.make_query("far.default.svc.cluster.local", "A"))
    assert records(response.answer) == {"far.default.svc.cluster.local. www.example.com."}
    assert elsewhere == Ask(dns.name.from_text("www.example.com."), dns.rdatatype.A)
    only_alias, elsewhere = ANSWERS.answer(dns.message.make_query("far.default.svc.cluster.local", "CNAME"))
    assert only_alias.answer
    assert elsewhere is None


def test_a_loop_of_aliases_ends() -> None:
    assert ask("loop.default.svc.cluster.local").rcode() == dns.rcode.SERVFAIL


@pytest.mark.parametrize("name", ["example.com", "cluster.locale", "7.7.7.7.in-addr.arpa", "x.in-addr.arpa", "."])
def test_other_names_are_for_others(name: str) -> None:
    _, elsewhere = ANSWERS.answer(dns.message.make_query(name, "PTR" if "arpa" in name else "A"))
    assert elsewhere is not None


def test_other_operations_are_refused() -> None:
    query = dns.message.make_query("web.default.svc.cluster.local", "A")
    query.set_opcode(dns.opcode.STATUS)
    response, _ = ANSWERS.answer(query)
    assert response.rcode() == dns.rcode.NOTIMP


def test_what_is_derived_follows_changes() -> None:
    cluster = Cluster()
    zone = Zone(cluster)
    assert zone.reverse("10.96.1.1") == (("web", "default", "svc"),)
    del cluster.services[("default", "web")]
    zone.changed()
    assert zone.reverse("10.96.1.1") == ()


@pytest.mark.parametrize(("payload", "cut"), [(None, True), (1232, True), (4096, False)])
def test_long_answers_are_cut_to_what_the_asker_takes(payload: int | None, cut: bool) -> None:
    cluster = Cluster()
    crowd = [{"addresses": [f"10.244.1.{number}"]} for number in range(1, 200)]
    cluster.endpoints[("default", "db")] = [{"addressType": "IPv4", "ports": [], "endpoints": crowd}]
    edns = {"use_edns": 0, "payload": payload} if payload else {"use_edns": False}
    query = dns.message.make_query("db.default.svc.cluster.local", "A", **edns)
    response, _ = Answers(Zone(cluster), "cluster.local").answer(query)
    data = wire(response, query, over_udp=True)
    assert len(data) <= (payload or 512)
    assert bool(dns.message.from_wire(data).flags & dns.flags.TC) is cut
