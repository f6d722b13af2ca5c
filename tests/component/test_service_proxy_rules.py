"""The service proxy and DNS in real network namespaces: a node, three pods behind it, a scripted API."""

import asyncio
import errno
import os
import shutil
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
import pytest

from kubeclient import Client
from kubeclient.client import ObjectList
from kubeclient.resources import Resource
from kubeclient.watch import Event
from meshtest.embedded import linux
from meshtest.embedded.network import netlink, wiring
from meshtest.embedded.network.services import ServiceProxy

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
    pytest.mark.skipif(shutil.which("nft") is None, reason="needs nft: install the package nftables"),
]
Obj = dict[str, Any]
NODE, OUTSIDE, PODS = "172.31.255.2", "172.31.255.3", ("10.244.0.2", "10.244.0.3", "10.244.0.4")


class ScriptedApi:
    """As much of a Client as informers use; objects are put in and taken out by the test."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Obj]] = {}
        self._queues: dict[str, asyncio.Queue[Event]] = {}
        self._version = 0

    async def list(self, resource: Resource, _namespace: str | None = None, **_: object) -> ObjectList:
        return ObjectList(list(self.objects.get(resource.plural, {}).values()), str(self._version))

    async def watch(self, resource: Resource, _namespace: str | None = None, **_: object) -> AsyncIterator[Event]:
        queue = self._queues.setdefault(resource.plural, asyncio.Queue())
        while True:
            yield await queue.get()
            queue.task_done()

    async def told(self) -> None:
        """Until the informers have taken all events."""
        for queue in self._queues.values():
            await queue.join()

    def put(self, plural: str, obj: Obj) -> None:
        self._version += 1
        name = obj["metadata"]["name"]
        obj["metadata"] |= {"namespace": "default", "uid": name, "resourceVersion": str(self._version)}
        known = name in self.objects.setdefault(plural, {})
        self.objects[plural][name] = obj
        self._tell(plural, "MODIFIED" if known else "ADDED", obj)

    def take(self, plural: str, name: str) -> None:
        self._version += 1
        obj = self.objects[plural].pop(name)
        obj = obj | {"metadata": obj["metadata"] | {"resourceVersion": str(self._version)}}
        self._tell(plural, "DELETED", obj)

    def _tell(self, plural: str, kind: str, obj: Obj) -> None:
        self._queues.setdefault(plural, asyncio.Queue()).put_nowait(Event(kind, obj))

    def service(self, name: str, ip: str, *, port: int = 80, protocol: str = "TCP", **spec: Any) -> None:
        ports = [{"name": "main", "port": port, "protocol": protocol, "nodePort": spec.pop("node_port", None)}]
        status = {"loadBalancer": {"ingress": [{"ip": one} for one in spec.pop("ingress", ())]}}
        obj = {"metadata": {"name": name}, "spec": {"clusterIP": ip, "ports": ports, **spec}, "status": status}
        self.put("services", obj)

    def endpoints(self, service: str, *addresses: str, port: int = 8080, protocol: str = "TCP") -> None:
        slice_ = {
            "metadata": {"name": f"{service}-1", "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv6" if addresses and ":" in addresses[0] else "IPv4",
            "ports": [{"name": "main", "port": port, "protocol": protocol}],
            "endpoints": [
                {"addresses": [one], "conditions": {"ready": True}, "nodeName": "n" if one in PODS[:2] else "elsewhere"}
                for one in addresses
            ],
        }
        self.put("endpointslices", slice_)


@dataclass
class Net:
    node: int
    outside: int  # a machine on the node's network
    pods: dict[str, int] = field(default_factory=dict)


@pytest.fixture
def net() -> Iterator[Net]:
    fabric = wiring.make_fabric({"h8br": "172.31.255.1/24"}, ["172.31.254.1"])
    node = wiring.make_node(fabric, "h8br", "n", 0, f"{NODE}/24", "172.31.255.1", "172.31.254.0/24", ["10.96.0.10"])
    outside = wiring.make_node(fabric, "h8br", "o", 1, f"{OUTSIDE}/24", "172.31.255.1", "172.31.254.0/24", [])
    outside_link = netlink.index_of(outside, "eth0")
    for reached_by_node in ("10.96.0.0/16", "198.51.100.0/24", "203.0.113.0/24"):
        netlink.execute(outside, [netlink.route(reached_by_node, outside_link, via=NODE)])
    made = Net(node, outside)
    for number, address in enumerate(PODS):
        made.pods[address], _ = wiring.make_pod(node, NODE, f"pod{number}", address)
    yield made
    for fd in (*made.pods.values(), node, outside, fabric):
        os.close(fd)


async def tcp_echo(netns: int, address: str, port: int = 8080) -> asyncio.Server:
    """Answers each connection with its own address and the client's."""
    listener = linux.socket_in(netns)
    listener.bind((address, port))
    listener.listen(100)
    listener.setblocking(False)

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{address} {writer.get_extra_info('peername')[0]}".encode())
        await writer.drain()
        writer.close()

    return await asyncio.start_server(serve, sock=listener)


async def call(
    netns: int, address: str, port: int = 80, kind: socket.SocketKind = socket.SOCK_STREAM, source_port: int = 0
) -> tuple[str, str]:
    """(who answered, as whom it saw us). OSError as connect has it."""
    channel = linux.socket_in(netns, socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    channel.setblocking(False)
    with channel:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(2):
            if source_port:
                channel.bind(("", source_port))
            await loop.sock_connect(channel, (address, port))
            if kind == socket.SOCK_DGRAM:
                await loop.sock_sendall(channel, b"hello")
            answer = (await loop.sock_recv(channel, 100)).decode().split()
    return answer[0], answer[1]


@dataclass
class Running:
    api: ScriptedApi
    proxy: ServiceProxy

    async def applied(self) -> None:
        """Until what the API was told is in force."""
        async with asyncio.timeout(5):
            await self.api.told()
            async with self.proxy.progress:
                await self.proxy.progress.wait_for(lambda: not self.proxy.busy)


@pytest.fixture
async def running(net: Net) -> AsyncIterator[Running]:
    api = ScriptedApi()
    api.service("echo", "10.96.1.1")
    api.endpoints("echo", *PODS)
    proxy = ServiceProxy(cast(Client, api), net.node, node_name="n", node_address=NODE, local=["10.96.0.10"])
    servers = [await tcp_echo(net.pods[address], address) for address in PODS]
    async with anyio.create_task_group() as group:
        group.start_soon(proxy.run)
        async with asyncio.timeout(5):
            await proxy.synced.wait()
        yield Running(api, proxy)
        group.cancel_scope.cancel()
    for server in servers:
        server.close()


@pytest.mark.usefixtures("running")
async def test_pods_and_the_node_reach_all_endpoints_by_the_cluster_address(net: Net) -> None:
    for client in (net.pods[PODS[0]], net.node):
        seen = Counter([(await call(client, "10.96.1.1"))[0] for _ in range(60)])
        assert set(seen) == set(PODS), f"expected answers from {PODS}, got {seen}"


@pytest.mark.usefixtures("running")
async def test_a_pod_that_reaches_itself_sees_the_node(net: Net) -> None:
    answers = {await call(net.pods[PODS[0]], "10.96.1.1") for _ in range(40)}
    assert answers == {(PODS[0], NODE), (PODS[1], PODS[0]), (PODS[2], PODS[0])}


async def test_endpoints_come_and_go(net: Net, running: Running) -> None:
    running.api.endpoints("echo", PODS[1])
    await running.applied()
    assert {(await call(net.node, "10.96.1.1"))[0] for _ in range(10)} == {PODS[1]}
    running.api.endpoints("echo", PODS[1], PODS[2])
    await running.applied()
    assert {(await call(net.node, "10.96.1.1"))[0] for _ in range(30)} == {PODS[1], PODS[2]}


@pytest.mark.parametrize("where", ["pod", "node"])
async def test_without_endpoints_a_connection_is_refused_at_once(net: Net, running: Running, where: str) -> None:
    client = net.node if where == "node" else net.pods[PODS[0]]
    running.api.endpoints("echo")
    await running.applied()
    for address in ("10.96.1.1", "10.96.77.77"):
        started = time.monotonic()
        with pytest.raises(OSError) as refused:
            await call(client, address)
        assert refused.value.errno == errno.ECONNREFUSED
        assert time.monotonic() - started < 0.5


async def test_a_deleted_service_is_refused_and_its_address_can_be_given_again(net: Net, running: Running) -> None:
    running.api.take("services", "echo")
    await running.applied()
    with pytest.raises(ConnectionRefusedError):
        await call(net.node, "10.96.1.1")
    running.api.endpoints("other", PODS[2])
    running.api.service("other", "10.96.1.1")
    await running.applied()
    assert (await call(net.node, "10.96.1.1"))[0] == PODS[2]


class UdpEcho(asyncio.DatagramProtocol):
    """Answers each datagram with its own address and the client's."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, _data: bytes, addr: Any) -> None:
        self.transport.sendto(f"{self.address} {addr[0]}".encode(), addr)


async def udp_echo(netns: int, address: str, port: int = 5353) -> asyncio.BaseTransport:
    channel = linux.socket_in(netns, kind=socket.SOCK_DGRAM)
    channel.setblocking(False)
    channel.bind((address, port))
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: UdpEcho(address), sock=channel)
    return transport


async def test_udp(net: Net, running: Running) -> None:
    transports = [await udp_echo(net.pods[address], address) for address in PODS[:2]]
    running.api.endpoints("udp", *PODS[:2], port=5353, protocol="UDP")
    running.api.service("udp", "10.96.1.2", port=53, protocol="UDP")
    await running.applied()
    seen = {(await call(net.pods[PODS[2]], "10.96.1.2", 53, socket.SOCK_DGRAM))[0] for _ in range(40)}
    assert seen == set(PODS[:2])
    running.api.endpoints("udp", protocol="UDP")
    await running.applied()
    with pytest.raises(ConnectionRefusedError):
        await call(net.pods[PODS[2]], "10.96.1.2", 53, socket.SOCK_DGRAM)
    for transport in transports:
        transport.close()


async def test_a_udp_flow_leaves_an_endpoint_that_is_gone(net: Net, running: Running) -> None:
    transports = [await udp_echo(net.pods[address], address) for address in PODS[:2]]
    running.api.service("udp", "10.96.1.2", port=53, protocol="UDP")
    for address in PODS[:2]:  # the same client port: for conntrack one flow
        running.api.endpoints("udp", address, port=5353, protocol="UDP")
        await running.applied()
        assert await call(net.node, "10.96.1.2", 53, socket.SOCK_DGRAM, 40053) == (address, NODE)
        assert await call(net.pods[PODS[2]], "10.96.1.2", 53, socket.SOCK_DGRAM, 40053) == (address, PODS[2])
    for transport in transports:
        transport.close()


async def test_sticky_services_keep_a_client_at_one_endpoint(net: Net, running: Running) -> None:
    running.api.service("echo", "10.96.1.1", sessionAffinity="ClientIP")
    await running.applied()
    for client in (net.node, *net.pods.values()):
        assert len({(await call(client, "10.96.1.1"))[0] for _ in range(10)}) == 1


@pytest.mark.parametrize(
    ("address", "port"), [(NODE, 30080), ("198.51.100.7", 80), ("203.0.113.9", 80)], ids=["node", "external", "ingress"]
)
@pytest.mark.parametrize("policy", ["Cluster", "Local"])
async def test_addresses_for_the_outside(net: Net, running: Running, address: str, port: int, policy: str) -> None:
    running.api.service(
        "echo",
        "10.96.1.1",
        type="LoadBalancer",
        node_port=30080,
        externalIPs=["198.51.100.7"],
        ingress=["203.0.113.9"],
        externalTrafficPolicy=policy,
    )
    await running.applied()
    seen = {await call(net.outside, address, port) for _ in range(40)}
    if policy == "Cluster":  # every endpoint, and answers must come back by way of this node
        assert seen == {(pod, NODE) for pod in PODS}
    else:  # the endpoints of this node, which see the client
        assert seen == {(pod, OUTSIDE) for pod in PODS[:2]}
    assert {(await call(net.pods[PODS[2]], address, port))[0] for _ in range(30)} >= set(PODS[:2])


async def test_internal_traffic_can_be_kept_on_the_node(net: Net, running: Running) -> None:
    running.api.service("echo", "10.96.1.1", internalTrafficPolicy="Local")
    await running.applied()
    assert {(await call(net.pods[PODS[2]], "10.96.1.1"))[0] for _ in range(30)} == set(PODS[:2])


async def test_ipv6(net: Net, running: Running) -> None:
    pod, address = net.pods[PODS[0]], "fd00:10:244::2"
    inner, outer = netlink.index_of(pod, "eth0"), netlink.index_of(net.node, "pod0")
    node_link = netlink.index_of(net.node, "eth0")
    netlink.execute(
        net.node,
        [
            netlink.address(outer, "fd00:10:244::1/64"),
            netlink.address(node_link, "fd00:1::2/64"),
            netlink.neighbour(outer, address, wiring.mac_of("pod", PODS[0])),  # discovery would wait a second for DAD
            netlink.route("fd00:10:96::/112", node_link),
        ],
    )
    netlink.execute(
        pod,
        [
            netlink.address(inner, f"{address}/64"),
            netlink.neighbour(inner, "fd00:10:244::1", wiring.GATEWAY_MAC),
            netlink.route("default6", inner, via="fd00:10:244::1"),
        ],
    )
    wiring.set_sysctls(net.node, {"ipv6/conf/all/forwarding": "1"})
    listener = linux.socket_in(pod, socket.AF_INET6)
    listener.bind((address, 8080))
    listener.listen()
    running.api.endpoints("six", address)
    running.api.service("six", "fd00:10:96::5")
    await running.applied()
    for client in (net.node, pod):
        channel = linux.socket_in(client, socket.AF_INET6)
        channel.setblocking(False)
        async with asyncio.timeout(2):
            await asyncio.get_running_loop().sock_connect(channel, ("fd00:10:96::5", 80))
        channel.close()
    listener.close()
    running.api.endpoints("six")
    await running.applied()
    with pytest.raises(ConnectionRefusedError):
        await call(net.node, "fd00:10:96::5")


async def test_a_flood_of_changes_is_merged(net: Net, running: Running) -> None:
    before = running.proxy.applied
    for number in range(200):
        running.api.service(f"s{number}", f"10.96.2.{number}")
        running.api.endpoints(f"s{number}", PODS[number % 3])
    await running.applied()
    for number in (0, 100, 199):
        assert (await call(net.node, f"10.96.2.{number}"))[0] == PODS[number % 3]
    assert running.proxy.applied - before < 20


async def test_rules_that_somebody_removed_are_made_anew_with_the_next_change(net: Net, running: Running) -> None:
    wiring.apply_rules(net.node, "delete table inet meshtest-services")
    running.api.endpoints("echo", PODS[0])
    await running.applied()
    assert (await call(net.node, "10.96.1.1"))[0] == PODS[0]
