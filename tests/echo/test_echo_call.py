"""Calls are lazy, and a failed one tells the way of an offending request; the source is a fake that sends nothing."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from meshtest.echo.call import Call, Plan
from meshtest.echo.checks import ok, reached, split
from meshtest.echo.config import EchoConfig, Port, Subset, manifests
from meshtest.echo.instance import Apps, Echo
from meshtest.echo.trace import render_way, way_of
from meshtest.framework.errors import AuthorError
from meshtest.framework.mesh import AccessLogLine, PodRef

A, B = PodRef("c", "ns", "a-v1-1"), PodRef("c", "ns", "b-v1-1")


class FakeMesh:
    def access_log(self, request_id: str, pods: Sequence[PodRef]) -> list[AccessLogLine]:
        line = {"request_id": request_id, "route_name": "default", "response_flags": "UH", "upstream_host": None}
        return [AccessLogLine(pod, line) for pod in pods]


class FakeEcho:
    """Answers every request with `status`; remembers how many it was asked for."""

    name = "a"
    mesh = FakeMesh()

    def __init__(self, status: int = 200) -> None:
        self.status, self.asked = status, list[int]()

    def ask(self, spec: Mapping[str, Any], deadline: float) -> list[dict[str, Any]]:  # noqa: ARG002
        self.asked.append(spec["count"])
        return [self._result(index) for index in range(spec["count"])]

    def _result(self, index: int) -> dict[str, Any]:
        body = f'{{"hostname":"b-v1-1","version":"v1","attempt":1,"index":{index}}}'
        empty = dict.fromkeys(("grpc_status", "tls"))
        texts = dict.fromkeys(("error", "error_kind", "protocol", "location", "local"), "")
        return {"index": index, "id": f"id-{index}", "status": self.status, "headers": [], "body": body} | {
            "duration_ms": 1.0,
            **empty,
            **texts,
        }

    def reference(self) -> PodRef:
        return A

    def references(self) -> list[PodRef]:
        return [B]


def call(source: FakeEcho, count: int | None = None) -> Call:
    plan = Plan("http", "b.ns", 80, "/x", "GET", (("h", "v"),), 8, 10.0, {})
    target = cast(Echo, SimpleNamespace(name="b", references=source.references))
    return Call(cast(Echo, source), plan, target, count)


def test_nothing_is_sent_until_somebody_looks() -> None:
    source = FakeEcho()
    made = call(source)
    assert source.asked == []
    assert len(made) == 1
    assert next(iter(made)).version == made[0].version == "v1"
    assert source.asked == [1]


def test_the_check_chooses_the_count_and_several_share_what_was_sent() -> None:
    source = FakeEcho()
    made = call(source)
    made.check(ok(), reached("v1"))
    made.check(ok())
    assert source.asked == [10]


def test_a_check_that_needs_more_sends_anew() -> None:
    source = FakeEcho()
    made = call(source)
    made.check(ok())
    made.check(split({"v1": 1, "v2": 0}))
    assert source.asked == [1, 66]


def test_a_count_too_small_for_a_statistical_check_is_the_authors_error() -> None:
    with pytest.raises(AuthorError, match="needs 1556 requests to be sound"):
        call(FakeEcho(), count=100).check(split({"v1": 80, "v2": 20}))


def test_an_own_count_wins_over_what_a_plain_check_would_like() -> None:
    source = FakeEcho()
    call(source, count=3).check(reached("v1"))
    assert source.asked == [3]


def test_a_failure_shows_expected_got_and_the_way_of_one_request() -> None:
    with pytest.raises(AssertionError) as failure:
        call(FakeEcho(503), count=2).check(ok())
    assert str(failure.value).splitlines() == [
        "a → b: GET http://b.ns:80/x h: v (2 requests)",
        "  expected: every request to succeed",
        "  got:      2 × status 503",
        "  one of them: request id-0 (#0): status 503 from b-v1-1 (v1) in 1.0 ms",
        "    route default, cluster -, endpoint -, flags UH, details -",
        "      ns/a-v1-1: request_id=id-0 route_name=default response_flags=UH",
        "      ns/b-v1-1: request_id=id-0 route_name=default response_flags=UH",
    ]


def test_a_way_that_cannot_be_told_does_not_hide_the_failure() -> None:
    class Broken(FakeMesh):
        def access_log(self, request_id: str, pods: Sequence[PodRef]) -> list[AccessLogLine]:
            raise OSError(f"gone: {request_id} {len(pods)}")

    (response,) = call(FakeEcho())
    assert way_of(response, A, [B], cast(Any, Broken())) == "no access log: OSError: gone: id-0 2"
    assert render_way([], A) == "no proxy logged this request"


def test_a_route_to_nowhere_says_what_to_look_for() -> None:
    line = AccessLogLine(A, {"route_name": "default", "response_code_details": "cluster_not_found"})
    assert render_way([line], A).splitlines()[1] == (
        "the route's destination is unknown to this proxy; hint: does the host exist, with that port, and does a "
        "DestinationRule define the subset?"
    )


def test_a_deployment_for_each_subset_and_ports_by_name() -> None:
    config = EchoConfig("b", "ns", (Subset("v1"), Subset("v2", replicas=2)), (Port("http", "http", 80, 8080),))
    objects = {(each["kind"], each["metadata"]["name"]): each for each in manifests(config, "cluster-0")}
    assert set(objects) == {("ServiceAccount", "b"), ("Service", "b"), ("Deployment", "b-v1"), ("Deployment", "b-v2")}
    ports = objects["Service", "b"]["spec"]["ports"]
    assert ports == [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    second = objects["Deployment", "b-v2"]["spec"]
    assert second["replicas"] == 2
    assert second["template"]["metadata"]["labels"] == {"app": "b", "version": "v2"}
    arguments = second["template"]["spec"]["containers"][0]["args"]
    assert arguments == ["--http", "8080", "--version", "v2", "--service", "b", "--cluster", "cluster-0"]


def test_a_workload_without_proxy_asks_not_to_be_injected() -> None:
    deployment = manifests(EchoConfig("naked", "ns", proxy=False), "c")[-1]
    assert deployment["spec"]["template"]["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"


def test_an_unknown_port_or_app_lists_what_there_is() -> None:
    line = r"^\S*test_echo_call\.py:\d+: "
    with pytest.raises(AuthorError, match=line + "echo b has no port 'gopher'; hint: it has http, http2, grpc"):
        EchoConfig("b").port("gopher")
    apps = Apps([cast(Echo, SimpleNamespace(name="a")), cast(Echo, SimpleNamespace(name="b"))])
    with pytest.raises(AuthorError, match=line + "no app 'z'; hint: there are a, b$"):
        _ = apps.z
    with pytest.raises(AuthorError, match=line + "no app 'z'; hint: there are a, b$"):
        _ = apps["z"]
    assert (hasattr(apps, "z"), "z" in apps, apps.get("z")) == (False, False, None)


def test_one_request_is_one_request() -> None:
    with pytest.raises(AssertionError, match=r"h: v \(1 request\)\n"):
        call(FakeEcho(503)).check(ok())
