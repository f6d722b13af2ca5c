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
import pytest

from kubeclient import Client
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

    async def wait_synced(self) -> None:
        return

    def names(self) -> Iterable[Key]:
        return [("default", "echo"), ("default", "crowd")]

    def service(self, key: Key) -> Obj | None:
        ports = [{"name": "http", "port": 80}]
        known = {
            ("default", "echo"): {"spec": {"clusterIP": "10.96.1.1", "ports": ports}},
            ("default", "crowd"): {"spec": {"clusterIP": "None", "ports": ports}},
        }
        return known.get(key)

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
