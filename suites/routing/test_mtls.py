"""Between sidecars it is mutual TLS from the start, whatever the protocol."""

from meshtest import feature
from meshtest.echo import Apps
from meshtest.echo.checks import all_of, identity, mtls, ok, plaintext, protocol


@feature("security.mtls.auto", level="core")
def test_the_server_knows_the_clients_identity(apps: Apps, port: str) -> None:
    apps.a.call(apps.b, port=port).check(all_of(ok(), mtls(), identity(apps.a.identity)))
    apps.c.call(apps.b, port=port).check(identity(apps.c.identity))


@feature("security.mtls.auto", level="core")
def test_a_client_without_sidecar_has_no_identity(apps: Apps, port: str) -> None:
    apps.naked.call(apps.b, port=port).check(all_of(ok(), plaintext()))


@feature("traffic.protocol.http", level="core")
def test_the_protocol_arrives_as_it_was_sent(apps: Apps) -> None:
    for port, name in {"http": "HTTP/1.1", "http2": "HTTP/2", "grpc": "gRPC"}.items():
        apps.a.call(apps.b, port=port).check(protocol(name))
    apps.a.call(apps.b, port="http", scheme="ws").check(all_of(ok(), protocol("WebSocket")))


@feature("traffic.protocol.tcp", level="core")
def test_tcp_gets_through(apps: Apps) -> None:
    apps.a.call(apps.b, port="tcp").check(all_of(ok(), protocol("TCP")))
    apps.a.call(apps.b, port="tcp-server").check(all_of(ok(), protocol("TCP")))


@feature("traffic.protocol.tls", level="core")
def test_the_applications_own_tls_gets_through(apps: Apps) -> None:
    apps.a.call(apps.b, port="https").check(ok())
    apps.a.call(apps.b, port="https", alpn=["h2"]).check(all_of(ok(), protocol("HTTP/2")))
