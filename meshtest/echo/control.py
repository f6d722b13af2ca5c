"""The way to a pod's control endpoint: HTTP over sockets dialled into the pod, kept open between calls."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from meshtest.framework.errors import MeshtestError

if TYPE_CHECKING:
    from meshtest.kube import Kube

CONTROL_PORT = 17171


class ControlError(MeshtestError):
    """The source workload could not be asked to call, or refused to."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, connected: socket.socket) -> None:
        super().__init__("localhost")
        self.sock = connected
        # Head and body are two writes; without this the second waits 40 ms for the peer's delayed ACK.
        with contextlib.suppress(OSError):  # a forwarded port is no TCP socket
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Control:
    """Connections to the pods of one cluster. Safe from several threads: each uses one of its own at a time."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._idle: dict[tuple[str, str], list[_Connection]] = {}
        self._lock = threading.Lock()

    def call(self, namespace: str, pod: str, spec: Mapping[str, Any], deadline: float) -> list[dict[str, Any]]:
        """Have a pod make a call; the responses' data. `deadline` in seconds. Errors: ControlError."""
        found: list[dict[str, Any]] = self._post((namespace, pod), "/call", spec, deadline)["responses"]
        return found

    def arrivals(self, namespace: str, pod: str, ids: Sequence[str]) -> dict[str, int]:
        """How often each of these requests arrived at a pod, for those that did. Errors: ControlError."""
        found: dict[str, int] = self._post((namespace, pod), "/arrivals", {"ids": ids}, 10.0)["arrivals"]
        return found

    def _post(self, key: tuple[str, str], path: str, data: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        namespace, pod = key
        body = orjson.dumps(data)
        with self._lock:
            idle = self._idle.get(key)
            kept = idle.pop() if idle else None
        if kept is not None:
            with contextlib.suppress(http.client.HTTPException, ConnectionError):
                return self._ask(key, kept, path, body, deadline)
        try:
            return self._ask(key, _Connection(self._kube.dial(namespace, pod, CONTROL_PORT)), path, body, deadline)
        except (OSError, http.client.HTTPException) as error:
            raise ControlError(
                f"echo {namespace}/{pod}: asked for {path}, gave no answer within {deadline:g} s: {error!r}"
            ) from error

    def _ask(
        self, key: tuple[str, str], connection: _Connection, path: str, body: bytes, deadline: float
    ) -> dict[str, Any]:
        try:
            connection.sock.settimeout(deadline)
            connection.request("POST", path, body=body, headers={"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = orjson.loads(response.read())
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._idle.setdefault(key, []).append(connection)
        if response.status != 200:
            raise ControlError(f"echo {'/'.join(key)}: refused {path}: {answer.get('error', answer)}")
        found: dict[str, Any] = answer
        return found

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()
