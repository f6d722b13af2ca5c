"""`python -m benchmarks.load`: HTTP load on an API server from a process of its own, so that the client's work does not
count as the server's. Parameters as JSON on standard input, figures as JSON on standard output."""

import asyncio
import json
import socket
import ssl
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from benchmarks.statistics import percentile

CONNECTIONS, SECONDS = 8, 3.0
WATCHERS, WRITES = 100, 50
PAUSE_BETWEEN_WRITES = 0.03


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection for one request after another."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    async def exchange(self, request: bytes) -> bytes:
        """The answer, head and body. Errors: RuntimeError unless it is 200 or 201; ConnectionError."""
        self._answer = asyncio.get_running_loop().create_future()
        assert self._transport is not None
        self._transport.write(request)
        answer = await self._answer
        if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")):
            raise RuntimeError(f"{request[:100]!r}: got {answer[:600]!r}")
        return answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found or self._answer is None:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) >= length:
            answer, self._buffer = self._buffer, b""
            self._answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"the API server closed the connection: {exc}"))

    def close(self) -> None:
        """At once."""
        assert self._transport is not None
        self._transport.abort()


class Load:
    """All measurements against one server as one user."""

    def __init__(self, server: str, token: str, ca: str, namespace: str) -> None:
        url = urlsplit(server)
        self._host, self._port = url.hostname or "127.0.0.1", url.port or 443
        self._head = f"Host: {url.netloc}\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n"
        self._tls = ssl.create_default_context(cafile=ca)
        self._path = f"/api/v1/namespaces/{namespace}/configmaps"
        self._namespace = namespace

    async def measure(self) -> dict[str, float]:
        """See benchmarks.cluster."""
        async with self._connections(CONNECTIONS) as connections:
            await connections[0].exchange(self._create("bench-one"))
            get = self._request("GET", f"{self._path}/bench-one")
            gets = await self._rate(connections, lambda _connection, _number: get)
            creates = await self._rate(connections, lambda connection, n: self._create(f"bench-{connection}-{n}"))
        return {
            "configmap_get_per_s": gets,
            "configmap_create_per_s": creates,
            "watch100_p99_ms": 1000 * percentile(await self._watch(), 0.99),
        }

    @asynccontextmanager
    async def _connections(self, count: int) -> AsyncIterator[list[Connection]]:
        loop = asyncio.get_running_loop()
        opened: list[Connection] = []
        try:
            for _ in range(count):
                pair = await loop.create_connection(Connection, self._host, self._port, ssl=self._tls)
                opened.append(pair[1])
            yield opened
        finally:
            for connection in opened:
                connection.close()

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        data = b"" if body is None else json.dumps(body).encode()
        media = f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n" if data else ""
        return f"{method} {path} HTTP/1.1\r\n{self._head}{media}\r\n".encode() + data

    def _create(self, name: str) -> bytes:
        return self._request("POST", self._path, self._configmap(name))

    def _configmap(self, name: str, value: str = "value") -> dict[str, Any]:
        metadata = {"name": name, "namespace": self._namespace}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": value}}

    async def _rate(self, connections: list[Connection], request: Callable[[int, int], bytes]) -> float:
        """Answers a second, each connection sending its next request when it has its answer."""
        began = time.perf_counter()
        end = began + SECONDS

        async def send(number: int) -> int:
            done = 0
            while time.perf_counter() < end:
                await connections[number].exchange(request(number, done))
                done += 1
            return done

        counts = await asyncio.gather(*(send(number) for number in range(len(connections))))
        return sum(counts) / (time.perf_counter() - began)

    async def _watch(self) -> list[float]:
        """Seconds from before each write to its arrival at each watcher."""
        path = f"{self._path}?watch=true&fieldSelector=metadata.name%3Dbench-one"
        delays: list[float] = []
        watchers = Watchers()
        try:
            for _ in range(WATCHERS):
                channel = socket.create_connection((self._host, self._port))
                watchers.add(self._tls.wrap_socket(channel, server_hostname=self._host), self._request("GET", path))
            async with self._connections(1) as (writer,):
                await self._write(writer, watchers, "warm-up")
                for number in range(WRITES):
                    await asyncio.sleep(PAUSE_BETWEEN_WRITES)
                    delays += await self._write(writer, watchers, f"change-{number}.")
        finally:
            watchers.close()
        print(f"  watch p50 {1000 * statistics.median(delays):.2f} ms", file=sys.stderr)
        return delays

    async def _write(self, writer: Connection, watchers: "Watchers", value: str) -> list[float]:
        arrived = watchers.expect(value.encode())
        request = self._request("PUT", f"{self._path}/bench-one", self._configmap("bench-one", value))
        began = time.perf_counter()
        async with asyncio.timeout(10):
            await writer.exchange(request)
            return [moment - began for moment in await arrived]


class Watchers:
    """When each of many streams carries a text. Read from the sockets themselves: asyncio's TLS costs a client three
    times as much for each arrival, which would be counted as the server's."""

    def __init__(self) -> None:
        self._sockets: list[ssl.SSLSocket] = []
        self._text = b""
        self._moments: dict[ssl.SSLSocket, float] = {}
        self._all: asyncio.Future[list[float]] = asyncio.get_running_loop().create_future()

    def add(self, channel: ssl.SSLSocket, request: bytes) -> None:
        """Send the request and listen."""
        channel.sendall(request)
        channel.setblocking(False)
        self._sockets.append(channel)
        asyncio.get_running_loop().add_reader(channel.fileno(), self._read, channel)

    def expect(self, text: bytes) -> asyncio.Future[list[float]]:
        """Becomes the moments at which the text came to each."""
        self._text, self._moments = text, {}
        self._all = asyncio.get_running_loop().create_future()
        return self._all

    def _read(self, channel: ssl.SSLSocket) -> None:
        moment = time.perf_counter()
        try:
            # Every event is one TLS record, as it is far below a record's 16 kB.
            while data := channel.recv(65536):
                if self._text in data:
                    self._moments[channel] = moment
        except ssl.SSLWantReadError:
            if len(self._moments) == len(self._sockets) and not self._all.done():
                self._all.set_result(list(self._moments.values()))
            return
        asyncio.get_running_loop().remove_reader(channel.fileno())
        if not self._all.done():
            self._all.set_exception(ConnectionError("the API server ended a watch"))

    def close(self) -> None:
        """All of them."""
        for channel in self._sockets:
            asyncio.get_running_loop().remove_reader(channel.fileno())
            channel.close()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(Load(**json.load(sys.stdin)).measure())))
