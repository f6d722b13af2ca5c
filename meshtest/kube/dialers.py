"""Ways to get a connection into a pod's network namespace."""

import array
import asyncio
import json
import socket
from pathlib import Path
from typing import Protocol

from kubeclient import Client
from meshtest.kube.errors import DialError

DIAL_SECONDS = 10.0


class Dialer(Protocol):
    """Opens a connected stream socket to a port as seen from inside a pod (its loopback addresses)."""

    async def dial(self, client: Client, namespace: str, pod: str, port: int) -> socket.socket:
        """Errors: DialError."""


class PortForwardDialer:
    """Through the API server, as `kubectl port-forward`; works on every cluster."""

    async def dial(self, client: Client, namespace: str, pod: str, port: int) -> socket.socket:
        return await client.port_forward(namespace, pod, port)


class UnixSocketDialer:
    """The embedded node connects inside the pod's namespace and hands the descriptor over: no proxy in the way.

    Wire: one JSON line {"namespace", "pod", "port"}; the answer is a JSON line, with one descriptor (SCM_RIGHTS) or
    {"error": …}.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    async def dial(self, client: Client, namespace: str, pod: str, port: int) -> socket.socket:  # noqa: ARG002
        return await asyncio.get_running_loop().run_in_executor(None, self.dial_now, namespace, pod, port)

    def dial_now(self, namespace: str, pod: str, port: int) -> socket.socket:
        """The same, blocking."""
        target = f"{namespace}/{pod}:{port}"
        request = json.dumps({"namespace": namespace, "pod": pod, "port": port}).encode() + b"\n"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
            control.settimeout(DIAL_SECONDS)
            try:
                control.connect(str(self.path))
                control.sendall(request)
                answer, descriptors = _receive(control)
            except OSError as error:
                raise DialError(
                    f"dial {target}: no answer from the node at {self.path}: {error} (is the cluster up?)"
                ) from error
        if not descriptors:
            try:
                reason = json.loads(answer).get("error", answer.decode(errors="replace"))
            except ValueError:
                reason = answer.decode(errors="replace") or "the node closed the connection"
            raise DialError(f"dial {target}: {reason}")
        for extra in descriptors[1:]:
            socket.socket(fileno=extra).close()
        return socket.socket(fileno=descriptors[0])


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    answer, descriptors = b"", array.array("i")
    while not answer.endswith(b"\n"):
        data, ancillary, _flags, _address = control.recvmsg(4096, socket.CMSG_SPACE(4 * 4), socket.MSG_CMSG_CLOEXEC)
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(payload[: len(payload) - len(payload) % descriptors.itemsize])
        if not data:
            break
        answer += data
    return answer, list(descriptors)
