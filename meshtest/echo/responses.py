"""Responses as a test sees them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import orjson

Pairs = tuple[tuple[str, str], ...]
_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Response:
    """One response, or the error that came instead.

    status: HTTP status, None for gRPC and TCP or without response; grpc_status: gRPC's number.
    headers: as received, repeated ones repeated; of gRPC initial and trailing metadata.
    echo: what the echo said that it saw; empty where no echo answered. duration: seconds.
    error_kind: timeout, refused, reset, dns, tls, closed, grpc or other; empty without error.
    """

    index: int
    id: str
    status: int | None = None
    grpc_status: int | None = None
    headers: Pairs = ()
    body: str = ""
    error: str = ""
    error_kind: str = ""
    protocol: str = ""
    location: str = ""
    tls: Mapping[str, Any] | None = None
    local: str = ""
    duration: float = 0.0
    echo: Mapping[str, Any] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The answering workload's version; empty where no echo answered."""
        return str(self.echo.get("version", ""))

    @property
    def hostname(self) -> str:
        """The answering pod."""
        return str(self.echo.get("hostname", ""))

    @property
    def service(self) -> str:
        """The answering echo's name."""
        return str(self.echo.get("service", ""))

    @property
    def path(self) -> str:
        """The path that arrived, without query."""
        return str(self.echo.get("path", ""))

    @property
    def query(self) -> str:
        """The query that arrived, raw."""
        return str(self.echo.get("query", ""))

    @property
    def authority(self) -> str:
        """Host or :authority that arrived; gRPC servers do not tell."""
        return str(self.echo.get("authority", ""))

    @property
    def identity(self) -> str | None:
        """The client's SPIFFE identity as the server's proxy told it."""
        return self.echo.get("identity")

    @property
    def attempt(self) -> int:
        """How often this request had reached the answering pod; 0 where no echo answered."""
        return int(self.echo.get("attempt", 0))

    @property
    def request_headers(self) -> Pairs:
        """Headers that arrived."""
        return tuple((str(k), str(v)) for k, v in self.echo.get("headers", ()))

    def header(self, name: str) -> str | None:
        """The first value of a response header, whatever its case."""
        return next(iter(self.header_values(name)), None)

    def header_values(self, name: str) -> list[str]:
        """All values of a response header."""
        return [v for k, v in self.headers if k.lower() == name.lower()]

    def request_header_values(self, name: str) -> list[str]:
        """All values of a header that arrived at the echo."""
        return [v for k, v in self.request_headers if k.lower() == name.lower()]

    @property
    def outcome(self) -> str:
        """Status, or the error, in a few words."""
        if self.grpc_status is not None:
            return f"gRPC status {self.grpc_status}" + (f" ({self.error})" if self.error else "")
        if self.error:
            return f"{self.error_kind}: {self.error}"
        return f"status {self.status}" if self.status is not None else "answered"

    def __str__(self) -> str:
        who = f" from {self.hostname} ({self.version})" if self.hostname else ""
        return f"request {self.id} (#{self.index}): {self.outcome}{who} in {self.duration * 1000:.1f} ms"


class Responses(Sequence[Response]):
    """All responses of a call, in the order of sending."""

    __slots__ = ("_items",)

    def __init__(self, items: Sequence[Response]) -> None:
        self._items = tuple(items)

    @overload
    def __getitem__(self, index: int) -> Response: ...
    @overload
    def __getitem__(self, index: slice) -> Responses: ...
    def __getitem__(self, index: int | slice) -> Response | Responses:
        return Responses(self._items[index]) if isinstance(index, slice) else self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Response]:
        return iter(self._items)

    def __repr__(self) -> str:
        return f"<{len(self)} responses: {tally(self, lambda each: each.outcome)}>"

    def count_by(self, look: Callable[[Response], object]) -> Counter[Any]:
        """How often each value of `look` came."""
        return Counter(look(each) for each in self)


def tally(responses: Sequence[Response], look: Callable[[Response], object], most: int = 8) -> str:
    """`97 × 200, 3 × 503`: the values of `look`, the most frequent first."""
    counts = Counter(_readable(look(each)) for each in responses).most_common()
    rest = len(counts) - most
    return ", ".join(f"{count} × {value}" for value, count in counts[:most]) + (f" and {rest} more" if rest > 0 else "")


def _readable(value: object) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) and value else repr(value) if value in ("", ()) else str(value)


def parse_response(data: Mapping[str, Any]) -> Response:
    """From what the control endpoint answers (meshtest.echo.server.calls.Result)."""
    body = data["body"]
    return Response(
        index=data["index"],
        id=data["id"],
        status=data["status"],
        grpc_status=data["grpc_status"],
        headers=tuple((k, v) for k, v in data["headers"]),
        body=body,
        error=data["error"],
        error_kind=data["error_kind"],
        protocol=data["protocol"],
        location=data["location"],
        tls=data["tls"],
        local=data["local"],
        duration=data["duration_ms"] / 1000,
        echo=_echo(body),
    )


def _echo(body: str) -> Mapping[str, Any]:
    if not body.startswith("{"):
        return _NOTHING
    try:
        found = orjson.loads(body)
    except ValueError:
        return _NOTHING
    return found if isinstance(found, dict) and "hostname" in found and "attempt" in found else _NOTHING
