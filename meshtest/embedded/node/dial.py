"""Connections into pods for whoever runs the tests, without a proxy in between.

One JSON line a connection of the Unix socket: ``{"namespace": …, "pod": …, "port": …}`` or ``{"node": …, "host": …,
"port": …}``. The answer is one JSON line, with the descriptor of a connected TCP socket beside it when it worked.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from pathlib import Path
from typing import Any

from meshtest.embedded import linux
from meshtest.embedded.node.kubelet import Kubelet

log = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
LONGEST_REQUEST = 4096


class DialRefused(Exception):
    """No connection; the message says to what and why."""


async def connect_in(netns_fd: int, host: str, port: int) -> socket.socket:
    """A TCP connection made inside a namespace. OSError or TimeoutError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = linux.socket_in(netns_fd, family)
    sock.setblocking(False)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await asyncio.get_running_loop().sock_connect(sock, (host, port))
    except BaseException:
        sock.close()
        raise
    return sock


async def connect_loopback(netns_fd: int, port: int) -> socket.socket:
    """A connection to a port on a pod's loopback, IPv4 or else IPv6."""
    try:
        return await connect_in(netns_fd, "127.0.0.1", port)
    except ConnectionRefusedError:
        return await connect_in(netns_fd, "::1", port)


class DialServer:
    """Serves the socket. Only root may use it (mode 0600 in a directory 0700)."""

    def __init__(self, kubelet: Kubelet, path: Path) -> None:
        self._kubelet = kubelet
        self._path = path
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """For ever."""
        loop = asyncio.get_running_loop()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            listener.bind(str(self._path))
        finally:
            os.umask(before)
        listener.listen(128)
        listener.setblocking(False)
        while True:
            control, _ = await loop.sock_accept(listener)
            task = asyncio.create_task(self._serve(control))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, control: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with control:
            try:
                data = b""
                while not data.endswith(b"\n") and len(data) < LONGEST_REQUEST:
                    chunk = await loop.sock_recv(control, LONGEST_REQUEST)
                    if not chunk:
                        return
                    data += chunk
                connection = await self._dial(json.loads(data))
            except DialRefused as error:
                await loop.sock_sendall(control, _line({"error": str(error)}))
            except (OSError, TimeoutError, ValueError, KeyError, TypeError) as error:
                await loop.sock_sendall(control, _line({"error": f"{type(error).__name__}: {error}"}))
            else:
                with connection:
                    socket.send_fds(control, [_line({"ok": True})], [connection.fileno()])

    async def _dial(self, request: dict[str, Any]) -> socket.socket:
        port = int(request["port"])
        if "node" in request:
            return await connect_in(self._kubelet.host.config.netns_fd, str(request["host"]), port)
        namespace, name = str(request["namespace"]), str(request["pod"])
        worker = self._kubelet.worker(namespace, name)
        if worker is None or worker.cell.netns < 0:
            raise DialRefused(f"pod {namespace}/{name} is not running on node {self._kubelet.host.config.name}")
        try:
            return await connect_loopback(worker.cell.netns, port)
        except (OSError, TimeoutError) as error:
            raise DialRefused(f"pod {namespace}/{name} port {port}: {error or 'timed out'}") from error


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"
