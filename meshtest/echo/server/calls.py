"""A call that a test asks for, and the responses it gets: data only, in the shape that travels as JSON."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

GRPC_METHOD = "/meshtest.echo.v1.EchoService/Echo"
SCHEMES = ("http", "https", "http2", "grpc", "ws", "tcp", "tls")


class BadCall(ValueError):
    """The call's JSON does not say what to send."""


@dataclass(frozen=True, slots=True)
class CallSpec:
    """One call: `count` requests, `concurrency` at a time, over connections of its own.

    scheme: http (HTTP/1.1, or `http_version` "1.0"), http2 (clear, prior knowledge), https (ALPN by `alpn`), grpc, ws,
    tcp (one line; `server_first` waits for a greeting before it), tls (a handshake, then a line when `body` is set).
    timeout: seconds for one request. headers: pairs, in this order; `Host` sets the authority.
    """

    scheme: str
    host: str
    port: int
    path: str = "/"
    method: str = "GET"
    headers: Sequence[tuple[str, str]] = ()
    count: int = 1
    concurrency: int = 8
    timeout: float = 10.0
    http_version: str = "1.1"
    follow_redirects: bool = False
    new_connection: bool = False
    body: str = ""
    server_first: bool = False
    sni: str = ""
    alpn: Sequence[str] = ()
    ca: str = ""
    """PEM of the roots to verify a TLS server against; empty: not verified."""
    cert: str = ""
    """PEM of client certificate and key."""
    address: str = ""
    """Connect here instead of to `host`, which keeps naming the authority."""

    @property
    def authority(self) -> str:
        """The Host header, else host:port, without the port where it is the scheme's own."""
        given = next((v for k, v in self.headers if k.lower() == "host"), "")
        if given:
            return given
        default = {"http": 80, "ws": 80, "http2": 80, "https": 443}.get(self.scheme)
        return self.host if self.port == default else f"{self.host}:{self.port}"


def parse_call(data: dict[str, Any]) -> CallSpec:
    """A CallSpec from JSON; BadCall names the field."""
    known = {f.name for f in fields(CallSpec)}
    if unknown := sorted(set(data) - known):
        raise BadCall(f"call: unknown field {unknown[0]!r}; known are {', '.join(sorted(known))}")
    if data.get("scheme") not in SCHEMES:
        raise BadCall(f"call.scheme: expected one of {', '.join(SCHEMES)}, got {data.get('scheme')!r}")
    for name in ("host", "port"):
        if not data.get(name):
            raise BadCall(f"call.{name}: missing")
    values = {**data, "headers": [(str(k), str(v)) for k, v in data.get("headers") or ()]}
    return CallSpec(**values)


@dataclass(slots=True)
class Result:
    """One response. `status` None means that no HTTP response came, `error` then says why; times in milliseconds."""

    index: int
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: int | None = None
    grpc_status: int | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: str = ""
    error: str = ""
    error_kind: str = ""
    """timeout, refused, reset, dns, tls, closed or other; empty without error."""
    protocol: str = ""
    location: str = ""
    """The last URL, when redirects were followed."""
    tls: dict[str, Any] | None = None
    local: str = ""
    duration_ms: float = 0.0
