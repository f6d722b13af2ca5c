"""HTTP to a port inside a pod, over connections that stay open."""

import http.client
import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

Dial = Callable[[str, str, int], socket.socket]
_DEAD = (ConnectionError, http.client.BadStatusLine, http.client.CannotSendRequest, BrokenPipeError)


class _Connection(http.client.HTTPConnection):
    """An HTTP connection over a socket that exists already."""

    def __init__(self, connected: socket.socket, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self.sock = connected
        # Head and body are two writes; without this the second waits 40 ms for the peer's delayed ACK.
        with suppress(OSError):  # a forwarded port is no TCP socket
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class PodHttp:
    """Idle connections by (namespace, pod, port); each request takes one, so threads do not wait for each other."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._idle: dict[tuple[str, str, int], list[_Connection]] = {}
        self._lock = threading.Lock()

    def request(
        self, target: tuple[str, str, int], method: str, path: str, body: Any = None, *, timeout_s: float = 10.0
    ) -> tuple[int, bytes]:
        """Status and body of the answer; `body` goes out as JSON. A kept connection that died is replaced once.

        Errors: OSError, http.client.HTTPException.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data is not None else {}
        kept = self._take(target)
        if kept is not None:
            try:
                return self._exchange(target, kept, method, path, data, headers, timeout_s)
            except _DEAD:
                kept.close()
        return self._exchange(
            target, _Connection(self._dial(*target), timeout_s), method, path, data, headers, timeout_s
        )

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                with suppress(OSError):
                    connection.close()

    def _exchange(
        self,
        target: tuple[str, str, int],
        connection: _Connection,
        method: str,
        path: str,
        data: bytes | None,
        headers: dict[str, str],
        timeout_s: float,
    ) -> tuple[int, bytes]:
        try:
            connection.sock.settimeout(timeout_s)
            connection.request(method, path, body=data, headers=headers)
            response = connection.getresponse()
            answer = response.read()
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            with self._lock:
                self._idle.setdefault(target, []).append(connection)
        return response.status, answer

    def _take(self, target: tuple[str, str, int]) -> _Connection | None:
        with self._lock:
            idle = self._idle.get(target)
            return idle.pop() if idle else None
