"""The real Envoy takes what is generated, and two of them speak mutual TLS over it."""

import http.server
import json
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from reference.controlplane.generate import Proxy
from reference.controlplane.snapshot import Inputs
from tests.component.generated_envoy import (
    Authority,
    Move,
    Running,
    bootstrap,
    free_port,
    get,
    validate,
    wait_listening,
)
from tests.reference.generate.everything import DESTINATION_RULE, TCP, VIRTUAL_SERVICE
from tests.reference.generate.mesh_state import (
    Mesh,
    Obj,
    config,
    endpoint_slice,
    keyed,
    pod,
    proxy_a,
    service,
    world,
)
from tests.reference.generate.random_config import Maker

REGISTRY_ONLY = "{accessLogFile: /dev/stdout, outboundTrafficPolicy: {mode: REGISTRY_ONLY}}"


@pytest.mark.parametrize(
    ("configs", "settings"),
    [
        pytest.param((), "{}", id="plain"),
        pytest.param((), REGISTRY_ONLY, id="registry-only"),
        pytest.param((VIRTUAL_SERVICE, DESTINATION_RULE, TCP), "accessLogFile: /dev/stdout", id="everything"),
    ],
)
def test_envoy_accepts(configs: tuple[Obj, ...], settings: str, tmp_path: Path) -> None:
    keys = Authority(tmp_path).issue("spiffe://cluster.local/ns/demo/sa/a")
    content = bootstrap(Mesh(world(*configs, mesh=settings)), proxy_a(), keys, None, str(tmp_path / "admin"))
    assert validate(tmp_path, content)[-2000:] == ""


class Application(http.server.BaseHTTPRequestHandler):
    """Answers with the headers that it got."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def application() -> Iterator[tuple[str, int]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Application)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield "127.0.0.1", server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def _world(port: int, pod_ip: str, rules: Obj, name: str = "http", number: int = 80) -> Inputs:
    ports = ((name, number, port),)
    return Inputs(
        {
            "Service": keyed(service("b", vip="10.96.0.3", ports=ports)),
            "EndpointSlice": keyed(endpoint_slice("b", {pod_ip: True}, ports=ports)),
            "Pod": keyed(pod("b-1", pod_ip, labels={"app": "b", "version": "v1"})),
            "VirtualService": keyed(config("VirtualService", "b", rules)),
            "DestinationRule": keyed(
                config("DestinationRule", "b", {"host": "b", "subsets": [{"name": "v2", "labels": {"version": "v2"}}]})
            ),
        },
        "accessLogFile: /dev/stdout",
    )


RULES: Obj = {
    "hosts": ["b"],
    "http": [
        {
            "match": [{"uri": {"prefix": "/abort"}}],
            "fault": {"abort": {"httpStatus": 418}},
            "route": [{"destination": {"host": "b"}}],
        },
        {"match": [{"uri": {"prefix": "/none"}}], "route": [{"destination": {"host": "b", "subset": "v2"}}]},
        {"match": [{"uri": {"prefix": "/undefined"}}], "route": [{"destination": {"host": "b", "subset": "v9"}}]},
        {"match": [{"uri": {"prefix": "/direct"}}], "directResponse": {"status": 202, "body": {"string": "direct"}}},
        {
            "name": "rewritten",
            "match": [{"withoutHeaders": {"x-skip": {"exact": "1"}}, "uri": {"prefix": "/old"}}],
            "rewrite": {"uri": "/new"},
            "headers": {"request": {"set": {"x-set": "yes"}}},
            "route": [{"destination": {"host": "b"}}],
        },
        {"route": [{"destination": {"host": "b"}}]},
    ],
}


def test_two_sidecars_speak_mutual_tls(application: tuple[str, int], tmp_path: Path) -> None:
    host, port = "127.0.0.2", free_port("127.0.0.2")
    mesh = Mesh(_world(port, host, RULES))
    authority, client = Authority(tmp_path), proxy_a()
    server = Proxy.from_id(f"sidecar~{host}~b-1.demo~demo.svc.cluster.local", {"LABELS": {"app": "b"}})
    keys = [authority.issue(f"spiffe://cluster.local/ns/demo/sa/{name}") for name in "ab"]
    listener = ("127.0.0.1", free_port())
    with Running(tmp_path) as running:
        inbound = Move({}, inbound=(host, port), application=application)
        running.start("b", bootstrap(mesh, server, keys[1], inbound, str(tmp_path / "b.sock")))
        outbound = Move({"0.0.0.0_80": listener})
        log = running.start("a", bootstrap(mesh, client, keys[0], outbound, str(tmp_path / "a.sock")))
        wait_listening([listener, (host, port)])
        base = f"http://{listener[0]}:{listener[1]}"

        code, body = get(f"{base}/plain", Host="b", **{"x-request-id": "id-1"})
        assert code == 200
        seen = json.loads(body)["headers"]
        assert "URI=spiffe://cluster.local/ns/demo/sa/a" in seen["x-forwarded-client-cert"]
        assert seen["x-request-id"] == "id-1"

        code, body = get(f"{base}/old/x", Host="b.demo.svc.cluster.local:80")
        answer = json.loads(body)
        assert (code, answer["path"], answer["headers"]["x-set"]) == (200, "/new/x", "yes")
        assert json.loads(get(f"{base}/old/x", Host="b", **{"x-skip": "1"})[1])["path"] == "/old/x"
        assert get(f"{base}/abort", Host="b")[0] == 418
        assert get(f"{base}/none", Host="b")[0] == 503
        assert get(f"{base}/undefined", Host="b")[0] == 503
        assert get(f"{base}/direct", Host="b") == (202, b"direct")

        # A client without sidecar gets through, and cannot claim an identity.
        code, body = get(f"http://{host}:{port}/", **{"x-forwarded-client-cert": "URI=spiffe://x"})
        assert code == 200
        assert "x-forwarded-client-cert" not in json.loads(body)["headers"]

        line = _log_line(log, "id-1")
        assert line["upstream_cluster"] == "outbound|80||b.demo.svc.cluster.local"
        assert line["route_name"] == "default"
        assert line["upstream_peer_uri_san"] == "spiffe://cluster.local/ns/demo/sa/b"


def test_server_of_another_identity_is_refused(application: tuple[str, int], tmp_path: Path) -> None:
    host, port = "127.0.0.2", free_port("127.0.0.2")
    mesh = Mesh(_world(port, host, {"hosts": ["x.example.com"], "http": [{"route": [{"destination": {"host": "b"}}]}]}))
    authority, client = Authority(tmp_path), proxy_a()
    server = Proxy.from_id(f"sidecar~{host}~b-1.demo~demo.svc.cluster.local", {"LABELS": {"app": "b"}})
    keys = [authority.issue(f"spiffe://cluster.local/ns/demo/sa/{name}") for name in ("a", "impostor")]
    listener = ("127.0.0.1", free_port())
    with Running(tmp_path) as running:
        inbound = Move({}, inbound=(host, port), application=application)
        running.start("b", bootstrap(mesh, server, keys[1], inbound, str(tmp_path / "b.sock")))
        outbound = Move({"0.0.0.0_80": listener})
        log = running.start("a", bootstrap(mesh, client, keys[0], outbound, str(tmp_path / "a.sock")))
        wait_listening([listener, (host, port)])
        code, _ = get(f"http://{listener[0]}:{listener[1]}/", Host="b", **{"x-request-id": "id-2"})
        assert code == 503
        line = _log_line(log, "id-2")
        assert "CERTIFICATE_VERIFY_FAILED" in str(line["upstream_transport_failure_reason"])


def _log_line(path: Path, request_id: str) -> dict[str, object]:
    deadline = time.monotonic() + 5
    while True:
        for text in path.read_text().splitlines():
            if request_id in text:
                line: dict[str, object] = json.loads(text)
                return line
        assert time.monotonic() < deadline, f"no line with {request_id} in {path.read_text()[-2000:]}"
        time.sleep(0.01)


@contextmanager
def _two_sidecars(
    directory: Path, application: tuple[str, int], name: str, number: int, rules: Obj | None = None
) -> Iterator[tuple[str, int]]:
    """Where a client of b's port reaches its own sidecar; b's sidecar passes on to the application."""
    host, port = "127.0.0.2", free_port("127.0.0.2")
    quiet = {"hosts": ["x.example.com"], "http": [{"route": [{"destination": {"host": "b"}}]}]}
    mesh = Mesh(_world(port, host, rules or quiet, name, number))
    authority, client = Authority(directory), proxy_a()
    server = Proxy.from_id(f"sidecar~{host}~b-1.demo~demo.svc.cluster.local", {"LABELS": {"app": "b"}})
    keys = [authority.issue(f"spiffe://cluster.local/ns/demo/sa/{name}") for name in "ab"]
    listener = ("127.0.0.1", free_port())
    bind = "0.0.0.0" if name.startswith(("http", "grpc")) else "10.96.0.3"
    with Running(directory) as running:
        inbound = Move({}, inbound=(host, port), application=application)
        running.start("b", bootstrap(mesh, server, keys[1], inbound, str(directory / "b.sock")))
        outbound = Move({f"{bind}_{number}": listener})
        running.start("a", bootstrap(mesh, client, keys[0], outbound, str(directory / "a.sock")))
        wait_listening([listener, (host, port)])
        yield listener


def test_undeclared_port_is_found_to_be_http(application: tuple[str, int], tmp_path: Path) -> None:
    with _two_sidecars(tmp_path, application, "auto", 1234) as (host, port):
        code, body = get(f"http://{host}:{port}/x", Host="b:1234")
        assert code == 200
        assert "sa/a" in json.loads(body)["headers"]["x-forwarded-client-cert"]


class ServerFirst(socketserver.BaseRequestHandler):
    """Greets, then repeats what it gets."""

    def handle(self) -> None:
        self.request.sendall(b"hello\n")
        while data := self.request.recv(1024):
            self.request.sendall(data)


@pytest.fixture
def server_first() -> Iterator[tuple[str, int]]:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), ServerFirst)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield "127.0.0.1", server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def test_server_speaks_first_on_a_tcp_port(server_first: tuple[str, int], tmp_path: Path) -> None:
    with (
        _two_sidecars(tmp_path, server_first, "tcp-server-first", 9091) as target,
        socket.create_connection(target, timeout=5) as connection,
    ):
        assert connection.recv(100) == b"hello\n"
        connection.sendall(b"again")
        assert connection.recv(100) == b"again"


@pytest.mark.parametrize(("name", "number"), [("http2", 85), ("auto", 1234)], ids=["declared", "undeclared"])
def test_http2(name: str, number: int, tmp_path: Path) -> None:
    """Both sidecars and the application speak HTTP/2: the second pair stands for the application."""
    app_directory, mesh_directory = tmp_path / "app", tmp_path / "mesh"
    app_directory.mkdir()
    mesh_directory.mkdir()
    direct: Obj = {"hosts": ["b"], "http": [{"directResponse": {"status": 202}}]}
    with (
        _two_sidecars(app_directory, ("127.0.0.1", 1), "http2", 85, direct) as application,
        _two_sidecars(mesh_directory, application, name, number) as (host, port),
        httpx.Client(http1=False, http2=True) as client,
    ):
        answer = client.get(f"http://{host}:{port}/", headers={"Host": "b"})
        assert (answer.status_code, answer.http_version) == (202, "HTTP/2")


@pytest.mark.parametrize("seed", range(5))
def test_envoy_accepts_whatever_passes_the_checks(seed: int, tmp_path: Path) -> None:
    maker = Maker(seed)
    keys = Authority(tmp_path).issue("spiffe://cluster.local/ns/demo/sa/a")
    mesh = Mesh(world(maker.virtual_service(), maker.destination_rule()))
    content = bootstrap(mesh, proxy_a(), keys, None, str(tmp_path / "admin"))
    assert validate(tmp_path, content)[-1000:] == ""
