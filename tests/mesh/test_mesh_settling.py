"""The settled barrier's question and answers, access-log lines, drivers by name."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from meshtest.environment.errors import UsageError
from meshtest.framework.errors import NotSettled, Unsupported
from meshtest.framework.mesh import ObjectRef, PodRef
from meshtest.mesh import driver, names
from meshtest.mesh.accesslog import lines_about
from meshtest.mesh.podhttp import PodHttp
from meshtest.mesh.settling import answer, question

VS = ObjectRef("c", "networking.istio.io", "VirtualService", "apps", "b", "uid-1", "42")
GONE = ObjectRef("c", "networking.istio.io", "VirtualService", "apps", "b", "uid-1", "42", absent=True)


def test_the_question_names_versions_and_absences() -> None:
    body = question([VS, GONE], 3.0)
    assert body["timeout"] == 3.0
    assert body["objects"][0]["resourceVersion"] == "42"
    assert body["objects"][1]["absent"] is True
    assert "resourceVersion" not in body["objects"][1]


def test_settled_carries_who_was_concerned() -> None:
    body = json.dumps({"settled": True, "seq": 7, "concerned": ["a-1", {"proxy": "b-1"}], "elapsed_ms": 4.5}).encode()
    settled = answer(200, body, [VS], "istiod-0")
    assert settled.concerned == ("a-1", "b-1")
    assert settled.elapsed_ms == 4.5


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (409, {"nacks": [{"proxy": "a-1", "type": "RDS", "error": "duplicate domain"}]}, "a-1 refused RDS: duplicate"),
        (504, {"pending": [{"proxy": "a-1", "type": "CDS"}]}, "a-1 has not taken CDS"),
        (504, {}, "has not seen the object"),
        (500, {"oops": 1}, "istiod-0 answered 500 to /debug/settled"),
    ],
)
def test_other_answers_say_who_and_why(status: int, body: dict[str, object], message: str) -> None:
    with pytest.raises(NotSettled, match=message) as caught:
        answer(status, json.dumps(body).encode(), [VS], "istiod-0")
    assert str(caught.value).startswith("VirtualService apps/b: ")


def test_access_log_lines_are_those_of_the_request() -> None:
    pod = PodRef("c", "apps", "a")
    log = ['{"request_id":"1","path":"/x"}', "noise 1", '{"request_id":"2"}', '{"request_id":"1"', '{"path":"/1"}']
    (line,) = lines_about("1", pod, log)
    assert line.fields["path"] == "/x"
    assert str(line) == "apps/a: request_id=1 path=/x"


def test_drivers_are_found_by_name() -> None:
    assert {"none", "reference"} <= set(names())
    with pytest.raises(UsageError, match="--mesh moon: no such mesh; available: none, reference"):
        driver("moon")


def test_no_mesh_settles_at_once_and_proves_nothing() -> None:
    mesh = driver("none")
    assert mesh.settle([VS]).concerned == ()
    with pytest.raises(Unsupported, match="asked for apps/a"):
        mesh.identity("apps", "a")


class Handler(BaseHTTPRequestHandler):
    """Keeps connections; counts them."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


def test_connections_into_pods_are_kept_and_replaced_when_dead() -> None:
    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    dialed: list[socket.socket] = []

    def dial(namespace: str, pod: str, port: int) -> socket.socket:  # noqa: ARG001
        dialed.append(socket.create_connection(("127.0.0.1", server.server_port)))
        return dialed[-1]

    http = PodHttp(dial)
    target = ("istio-system", "istiod-0", 15014)
    for _ in range(3):
        assert http.request(target, "POST", "/", {"a": 1}) == (200, b'{"a": 1}')
    assert len(dialed) == 1
    dialed[0].shutdown(socket.SHUT_RDWR)
    assert http.request(target, "POST", "/", [])[0] == 200
    assert len(dialed) == 2
    http.close()
    server.shutdown()
    server.server_close()
