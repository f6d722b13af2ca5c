"""`python -m benchmarks.load`: HTTP load on an API server from a process of its own, so that the client's work does not
count as the server's. Parameters as JSON on standard input, figures as JSON on standard output."""

import asyncio
import json
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
    """One HTTP/1.1 connection. `exchange` is one request after another; `on_data` takes all bytes instead, when set."""

    def __init__(self) -> None:
        self.on_data: Callable[[bytes], None] | None = None
        self._buffer = b""
        self._answer: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, request: bytes) -> None:
        """Write it, expecting nothing."""
        assert self._transport is not None
        self._transport.write(request)

    async def exchange(self, request: bytes) -> bytes:
        """The answer, head and body. Errors: RuntimeError unless it is 200 or 201; ConnectionError."""
        self._answer = asyncio.get_running_loop().create_future()
        self.send(request)
        answer = await self._answer
        if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")):
            raise RuntimeError(f"{request[:100]!r}: got {answer[:600]!r}")
        return answer

    def data_received(self, data: bytes) -> None:
        if self.on_data is not None:
            self.on_data(data)
            return
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
        delays: list[float] = []
        path = f"{self._path}?watch=true&fieldSelector=metadata.name%3Dbench-one"
        async with self._connections(WATCHERS) as watchers, self._connections(1) as (writer,):
            arrivals = [_Arrival() for _ in watchers]
            for watcher, arrival in zip(watchers, arrivals, strict=True):
                watcher.on_data = arrival.take
                watcher.send(self._request("GET", path))
            await self._write(writer, arrivals, "warm-up")
            for number in range(WRITES):
                await asyncio.sleep(PAUSE_BETWEEN_WRITES)
                delays += await self._write(writer, arrivals, f"change-{number}.")
        print(f"  watch p50 {1000 * statistics.median(delays):.2f} ms", file=sys.stderr)
        return delays

    async def _write(self, writer: Connection, arrivals: list["_Arrival"], value: str) -> list[float]:
        waiting = [arrival.expect(value.encode()) for arrival in arrivals]
        request = self._request("PUT", f"{self._path}/bench-one", self._configmap("bench-one", value))
        began = time.perf_counter()
        async with asyncio.timeout(10):
            await writer.exchange(request)
            return [moment - began for moment in await asyncio.gather(*waiting)]


class _Arrival:
    """When a watcher's stream next carries a text."""

    def __init__(self) -> None:
        self._text = b""
        self._tail = b""
        self._moment: asyncio.Future[float] | None = None

    def expect(self, text: bytes) -> asyncio.Future[float]:
        self._text, self._moment = text, asyncio.get_running_loop().create_future()
        return self._moment

    def take(self, data: bytes) -> None:
        moment = time.perf_counter()
        self._tail = self._tail[-len(self._text) :] + data
        if self._moment is not None and not self._moment.done() and self._text in self._tail:
            self._moment.set_result(moment)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(Load(**json.load(sys.stdin)).measure())))
