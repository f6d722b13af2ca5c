"""The cluster's DNS server in a network namespace, asked as glibc asks and over TCP."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, cast

import anyio
import dns.asyncquery
import dns.message
import dns.query
import dns.rcode
import dns.rrset
import pytest

from kubeclient import Client
from kubeclient.watch import Event
from meshtest.embedded import linux
from meshtest.embedded.network import netlink
from meshtest.embedded.network.dns import DnsServer
from meshtest.embedded.network.services_watch import Key, ServiceWatch

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
]
Obj = dict[str, Any]
ADDRESS = "10.96.0.10"


class FixedWatch(ServiceWatch):
    """One Service with an address and one headless with many endpoints."""

    def __init__(self) -> None:
        super().__init__(cast(Client, None))
        ports = [{"name": "http", "port": 80}]
        self.known: dict[Key, Obj] = {
            ("default", "echo"): {"spec": {"clusterIP": "10.96.1.1", "ports": ports}},
            ("default", "crowd"): {"spec": {"clusterIP": "None", "ports": ports}},
            ("default", "far"): {"spec": {"type": "ExternalName", "externalName": "www.example.com"}},
        }

    async def wait_synced(self) -> None:
        return

    def names(self) -> Iterable[Key]:
        return self.known.keys()

    def service(self, key: Key) -> Obj | None:
        return self.known.get(key)

    def slices(self, key: Key) -> list[Obj]:
        if key != ("default", "crowd"):
            return []
        addresses = [f"10.244.1.{number}" for number in range(1, 200)]
        endpoints = [{"addresses": [address], "conditions": {"ready": True}} for address in addresses]
        return [{"addressType": "IPv4", "ports": [{"name": "http", "port": 8080}], "endpoints": endpoints}]


@pytest.fixture
def netns() -> Iterator[int]:
    fd = linux.new_netns()
    netlink.execute(fd, [netlink.up(1), netlink.address(1, f"{ADDRESS}/32")])
    yield fd
    os.close(fd)


@pytest.fixture
async def server(netns: int) -> AsyncIterator[DnsServer]:
    server = DnsServer(cast(Client, None), netns, ADDRESS, watch=FixedWatch())
    async with anyio.create_task_group() as group:
        group.start_soon(server.run)
        async with asyncio.timeout(5):
            await server.synced.wait()
        yield server
        group.cancel_scope.cancel()


async def exchange(netns: int, name: str, *, over_tcp: bool = False, edns: bool = False) -> dns.message.Message:
    """Ask in the namespace, from a thread that enters it alone."""

    def ask() -> dns.message.Message:
        query = dns.message.make_query(name, "A", use_edns=0 if edns else False, payload=4096)
        with linux.in_netns(netns):
            if over_tcp:
                return dns.query.tcp(query, ADDRESS, timeout=3)
            return dns.query.udp(query, ADDRESS, timeout=3)

    return await anyio.to_thread.run_sync(ask)


@pytest.mark.usefixtures("server")
async def test_a_service_is_found_over_udp_and_tcp(netns: int) -> None:
    for over_tcp in (False, True):
        answer = await exchange(netns, "echo.default.svc.cluster.local", over_tcp=over_tcp)
        assert [str(record) for rrset in answer.answer for record in rrset] == ["10.96.1.1"]


@pytest.mark.usefixtures("server")
async def test_what_does_not_fit_is_truncated_and_comes_whole_over_tcp(netns: int) -> None:
    short = await exchange(netns, "crowd.default.svc.cluster.local")
    assert short.flags & dns.flags.TC
    for whole in (
        await exchange(netns, "crowd.default.svc.cluster.local", over_tcp=True),
        await exchange(netns, "crowd.default.svc.cluster.local", edns=True),
    ):
        assert not whole.flags & dns.flags.TC
        assert len(whole.answer[0]) == 199


@pytest.mark.usefixtures("server")
async def test_a_name_outside_the_cluster_does_not_exist(netns: int) -> None:
    assert (await exchange(netns, "example.com")).rcode() == dns.rcode.NXDOMAIN


@pytest.mark.usefixtures("server")
async def test_rubbish_is_survived(netns: int) -> None:
    with linux.socket_in(netns, kind=socket.SOCK_DGRAM) as channel:
        for rubbish in (b"", b"x", b"\0" * 12, bytes(range(40))):
            channel.sendto(rubbish, (ADDRESS, 53))
    assert (await exchange(netns, "echo.default.svc.cluster.local")).rcode() == dns.rcode.NOERROR


class Elsewhere(asyncio.DatagramProtocol):
    """An upstream server that knows one name."""

    def __init__(self) -> None:
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        query = dns.message.from_wire(data)
        response = dns.message.make_response(query)
        if str(query.question[0].name) == "www.example.com.":
            response.answer.append(dns.rrset.from_text("www.example.com.", 60, "IN", "A", "192.0.2.80"))
        else:
            response.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(response.to_wire(), addr)


async def test_names_outside_are_asked_upstream(netns: int) -> None:
    loop = asyncio.get_running_loop()
    upstream, _ = await loop.create_datagram_endpoint(Elsewhere, local_addr=("127.0.0.1", 0))
    port = upstream.get_extra_info("sockname")[1]
    # nobody listens at the first address: the second is asked
    upstreams = ["127.0.0.1#9", f"127.0.0.1#{port}"]
    server = DnsServer(cast(Client, None), netns, ADDRESS, watch=FixedWatch(), upstreams=upstreams)
    async with anyio.create_task_group() as group:
        group.start_soon(server.run)
        await server.synced.wait()
        for name, over_tcp in (("www.example.com", False), ("far.default.svc.cluster.local", True)):
            answer = await exchange(netns, name, over_tcp=over_tcp)
            assert "192.0.2.80" in [str(record) for rrset in answer.answer for record in rrset]
        assert (await exchange(netns, "other.example.com")).rcode() == dns.rcode.NXDOMAIN
        group.cancel_scope.cancel()
    upstream.close()


async def test_what_is_remembered_is_forgotten_with_the_next_change(netns: int) -> None:
    watch = FixedWatch()
    server = DnsServer(cast(Client, None), netns, ADDRESS, watch=watch)
    query = dns.message.make_query("new.default.svc.cluster.local", "A")
    data = query.to_wire()

    def rcode(identity: bytes) -> int:
        answer = server.quick(identity + data[2:], over_udp=True)
        assert isinstance(answer, bytes)
        assert answer[:2] == identity
        return dns.message.from_wire(answer).rcode()

    assert [rcode(b"ab"), rcode(b"cd")] == [dns.rcode.NXDOMAIN] * 2
    watch.known[("default", "new")] = {"spec": {"clusterIP": "10.96.1.9", "ports": []}}
    watch.on_service(Event("ADDED", {"metadata": {"namespace": "default", "name": "new"}}))
    assert rcode(b"ef") == dns.rcode.NOERROR
