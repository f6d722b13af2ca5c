"""Which protocol a service port speaks."""

import pytest

from reference.controlplane.registry import Protocol, detect


@pytest.mark.parametrize(
    ("name", "app_protocol", "transport", "number", "expected"),
    [
        ("http", None, "TCP", 80, Protocol.HTTP),
        ("http-web", None, None, 80, Protocol.HTTP),
        ("http2-x", None, "TCP", 80, Protocol.HTTP2),
        ("grpc", None, "TCP", 80, Protocol.GRPC),
        ("grpc-web-x", None, "TCP", 80, Protocol.GRPC_WEB),
        ("tcp-server-first", None, "TCP", 80, Protocol.TCP),
        ("https", None, "TCP", 443, Protocol.HTTPS),
        ("HTTP-x", None, "TCP", 80, Protocol.HTTP),
        ("http", "tcp", "TCP", 80, Protocol.TCP),
        ("tcp", "kubernetes.io/h2c", "TCP", 80, Protocol.HTTP2),
        ("tcp", "kubernetes.io/ws", "TCP", 80, Protocol.HTTP),
        ("http", "example.com/own", "TCP", 80, Protocol.HTTP),
        ("web", None, "TCP", 80, Protocol.AUTO),
        (None, None, "TCP", 3306, Protocol.TCP),
        ("httpx", None, "TCP", 80, Protocol.AUTO),
        ("http", None, "UDP", 80, Protocol.UDP),
    ],
)
def test_detection(
    name: str | None, app_protocol: str | None, transport: str | None, number: int, expected: Protocol
) -> None:
    assert detect(name, app_protocol, transport, number) is expected
