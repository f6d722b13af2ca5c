"""The echo program on this machine's loopback: every protocol that it serves, called by its own senders."""

import asyncio
import json
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from meshtest.echo.responses import Response, parse_response
from meshtest.echo.server.calls import CallSpec
from meshtest.echo.server.main import serving
from meshtest.echo.server.options import Listen, Options
from meshtest.echo.server.send import send

pytestmark = pytest.mark.anyio
SCHEMES = ("http", "https", "http2", "grpc", "ws", "tcp", "tls")


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


@asynccontextmanager
async def echo() -> AsyncIterator[dict[str, int]]:
    """Ports by scheme; `first` is the server-first one."""
    http, https, grpc, tcp, tls, first, control = free_ports(7)

    def local(port: int) -> tuple[Listen, ...]:
        return (Listen(port, "127.0.0.1"),)

    options = Options(
        http=local(http),
        https=local(https),
        grpc=local(grpc),
        tcp=local(tcp),
        tls=local(tls),
        tcp_server_first=local(first),
        control=Listen(control, "127.0.0.1"),
        version="v2",
        service="b",
        hostname="b-v2-1",
    )
    async with serving(options):
        yield {"http": http, "http2": http, "ws": http, "https": https, "grpc": grpc, "tcp": tcp, "tls": tls} | {
            "first": first,
            "control": control,
        }


async def call(ports: dict[str, int], scheme: str, **options: Any) -> list[Response]:
    spec = CallSpec(**{"scheme": scheme, "host": "127.0.0.1", "port": ports[scheme], "body": "hello", **options})
    return [parse_response(json.loads(json.dumps(_data(each)))) for each in await send(spec)]


def _data(result: Any) -> dict[str, Any]:
    return {name: getattr(result, name) for name in result.__slots__}


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_every_protocol_is_answered_with_what_was_seen(scheme: str) -> None:
    async with echo() as ports:
        responses = await call(ports, scheme, count=20, path="/a/b?x=1", headers=[("X-Mark", "1")])
    assert [each.error for each in responses] == [""] * 20
    assert {(each.version, each.hostname, each.service) for each in responses} == {("v2", "b-v2-1", "b")}
    assert {each.echo["body"] for each in responses} == {"hello"}
    assert len({each.id for each in responses}) == 20
    if scheme not in ("tcp", "tls"):
        assert {(each.path, each.query) for each in responses} == {("/a/b", "x=1")}
        assert all(each.request_header_values("x-mark") == ["1"] for each in responses)
        assert all(each.request_header_values("x-request-id") == [each.id] for each in responses)


@pytest.mark.parametrize(
    ("scheme", "options", "protocol"),
    [
        ("http", {}, "HTTP/1.1"),
        ("http", {"http_version": "1.0"}, "HTTP/1.0"),
        ("http2", {}, "HTTP/2"),
        ("https", {}, "HTTP/1.1"),
        ("https", {"alpn": ["h2"]}, "HTTP/2"),
        ("grpc", {}, "gRPC"),
        ("ws", {}, "WebSocket"),
        ("tcp", {}, "TCP"),
    ],
)
async def test_the_protocol_is_told(scheme: str, options: dict[str, Any], protocol: str) -> None:
    async with echo() as ports:
        (response,) = await call(ports, scheme, **options)
    assert response.echo["protocol"] == protocol


async def test_header_names_keep_their_case_and_order_over_http1_and_repeat() -> None:
    sent = [("X-One", "1"), ("x-two", "2"), ("X-One", "3")]
    async with echo() as ports:
        (response,) = await call(ports, "http", headers=sent)
    assert [pair for pair in response.request_headers if pair[0].lower() in ("x-one", "x-two")] == sent


async def test_tls_details_are_told_by_both_ends() -> None:
    async with echo() as ports:
        (response,) = await call(ports, "https", alpn=["h2"], sni="some.example.com")
    assert response.echo["tls"]["sni"] == "some.example.com"
    assert response.echo["tls"]["alpn"] == "h2"
    assert response.tls is not None and response.tls["version"] == "TLSv1.3"


async def test_the_server_speaks_first() -> None:
    async with echo() as ports:
        (response,) = await call(ports, "tcp", port=ports["first"], server_first=True)
    assert response.header("greeting") == "meshtest echo"


@pytest.mark.parametrize("scheme", ["http", "http2", "grpc"])
async def test_controls_are_obeyed(scheme: str) -> None:
    async with echo() as ports:
        failing = await call(ports, scheme, count=20, headers=[("echo-codes", "503:1")])
        slow = await call(ports, scheme, headers=[("echo-delay", "50ms"), ("echo-headers", "x-back:1")])
        fixed = [("echo-attempts", "503,200"), ("x-request-id", "same")]
        attempts = [(await call(ports, scheme, headers=fixed))[0] for _ in range(3)]
    code = 14 if scheme == "grpc" else 503
    assert {each.grpc_status if scheme == "grpc" else each.status for each in failing} == {code}
    assert slow[0].duration >= 0.05
    assert slow[0].header("x-back") == "1"
    assert [each.attempt for each in attempts[1:]] == [2, 3]
    assert [each.error == "" and each.status in (None, 200) for each in attempts] == [False, True, True]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_refused_connection_is_a_response_too(scheme: str) -> None:
    (port,) = free_ports(1)
    responses = await call({scheme: port}, scheme, count=3, timeout=2)
    assert {each.error_kind for each in responses} == {"grpc" if scheme == "grpc" else "refused"}
    assert len(responses) == 3


@pytest.mark.parametrize("scheme", ["http", "http2", "grpc"])
async def test_no_response_in_time_is_a_timeout(scheme: str) -> None:
    async with echo() as ports:
        (response,) = await call(ports, scheme, headers=[("echo-delay", "400ms")], timeout=0.1)
    assert response.error_kind == "timeout"


async def test_large_bodies_pass_the_flow_control_of_http2() -> None:
    async with echo() as ports:
        (response,) = await call(ports, "http2", method="POST", body="x" * 3_000_000)
    assert len(response.echo["body"]) == 3_000_000


async def test_a_server_certificate_is_verified_against_the_given_roots() -> None:
    async with echo() as ports:
        pem = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", ports["https"]))
        (wrong_name,) = await call(ports, "https", ca=pem)
        (right_name,) = await call(ports, "https", ca=pem, sni="b")
    assert wrong_name.error_kind == "tls"
    assert right_name.status == 200


def test_as_a_program_it_serves_its_control_endpoint_and_ends_on_sigterm() -> None:
    http, control = free_ports(2)
    args = ["--http", f"localhost:{http}", "--control", f"localhost:{control}", "--version", "v7"]
    with subprocess.Popen(
        [sys.executable, "-m", "meshtest.echo.server.main", *args], stdout=subprocess.PIPE, text=True
    ) as program:
        try:
            assert program.stdout is not None
            assert "serves" in program.stdout.readline()
            base = f"http://127.0.0.1:{control}"
            answer = _post(f"{base}/call", {"scheme": "http", "host": "127.0.0.1", "port": http, "count": 2})
            assert [parse_response(each).version for each in answer["responses"]] == ["v7", "v7"]
            ids = [each["id"] for each in answer["responses"]]
            assert _post(f"{base}/arrivals", {"ids": [*ids, "other"]}) == {"arrivals": dict.fromkeys(ids, 1)}
            started = time.monotonic()
        finally:
            program.terminate()
        assert program.wait(timeout=5) == 0
        assert time.monotonic() - started < 2


def _post(url: str, data: dict[str, Any]) -> dict[str, Any]:
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(data).encode(), method="POST")) as response:
        answer: dict[str, Any] = json.load(response)
        return answer
