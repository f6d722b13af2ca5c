"""Sockets into the cluster: created in a namespace of ours, connected by address.

`setns` and back happens without a wait in between, so that nothing else of this single-threaded process notices.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from .store import Store

Obj = dict[str, Any]
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Unreachable(OSError):
    """Nothing to connect to: no such service, port or endpoint."""


class Dialer:
    """Makes sockets in the namespace ``netns_fd`` (-1: our own)."""

    def __init__(self, netns_fd: int) -> None:
        self._netns_fd = netns_fd
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC) if netns_fd >= 0 else -1

    def make(self, family: int, kind: int = socket.SOCK_STREAM, protocol: int = 0) -> socket.socket:
        if self._netns_fd < 0:
            made = socket.socket(family, kind, protocol)
        else:
            _setns(self._netns_fd)
            try:
                made = socket.socket(family, kind, protocol)
            finally:
                _setns(self._home)
        made.setblocking(False)
        return made

    async def connect(self, host: str, port: int) -> socket.socket:
        """A TCP connection. Raises OSError."""
        made = self.make(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(made, (host, port))
        except BaseException:
            made.close()
            raise
        return made

    def close(self) -> None:
        if self._home >= 0:
            os.close(self._home)
            self._home = -1


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def service_endpoint(store: Store, namespace: str, name: str, port: int | str) -> tuple[str, int]:
    """Address and port of one ready endpoint of a service. Raises `Unreachable`."""
    service = store.collection("services").get(namespace, name)
    if service is None:
        raise Unreachable(f'service "{name}" not found in namespace "{namespace}"')
    ports = service.obj["spec"].get("ports") or []
    wanted = next((p for p in ports if port in (p.get("port"), p.get("name"), str(p.get("port")))), None)
    if wanted is None:
        raise Unreachable(f'service "{namespace}/{name}" has no port {port}')
    for piece in store.collection("endpointslices.discovery.k8s.io").items(namespace):
        if piece.labels.get("kubernetes.io/service-name") != name:
            continue
        number = next((p.get("port") for p in piece.obj["ports"] if p.get("name", "") == wanted.get("name", "")), None)
        if number is None:
            continue
        for endpoint in piece.obj["endpoints"]:
            if (endpoint.get("conditions") or {}).get("ready", True) is not False and endpoint.get("addresses"):
                return endpoint["addresses"][0], number
    raise Unreachable(f'no endpoints available for service "{name}"')


class ServiceResolver(AbstractResolver):
    """Resolves ``NAME.NAMESPACE.svc`` to an endpoint, its port included; addresses to themselves."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        del family
        name, _, rest = host.partition(".")
        namespace = rest.removesuffix(".svc")
        address, number = service_endpoint(self._store, namespace, name, port)
        actual = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [
            ResolveResult(hostname=host, host=address, port=number, family=actual, proto=0, flags=socket.AI_NUMERICHOST)
        ]

    async def close(self) -> None:
        return None


def cluster_session(dialer: Dialer, store: Store) -> aiohttp.ClientSession:
    """An HTTP client whose connections start inside the cluster."""

    def factory(info: Any) -> socket.socket:
        return dialer.make(info[0], info[1], info[2])

    connector = aiohttp.TCPConnector(
        resolver=ServiceResolver(store), socket_factory=factory, use_dns_cache=False, limit=0, keepalive_timeout=30
    )
    return aiohttp.ClientSession(connector=connector, auto_decompress=False)
