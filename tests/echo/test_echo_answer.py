"""What the echo answers, and how its command line reads."""

import pytest

from meshtest.echo.server.answer import (
    Answerer,
    Attempts,
    BadControl,
    Controls,
    Seen,
    choose_status,
    duration,
    identity_of,
    parse_controls,
)
from meshtest.echo.server.calls import BadCall, parse_call
from meshtest.echo.server.options import Listen, Options, parse_options
from meshtest.echo.server.rpc import grpc_code


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("250ms", 0.25), ("1m30s", 90), ("1.5s", 1.5), ("10us", 1e-5)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["1", "s", "1s2", "-1s", "one"])
def test_no_durations(text: str) -> None:
    with pytest.raises(BadControl, match="expected a duration"):
        duration(text)


def test_controls_come_as_parameters_or_headers_and_parameters_win() -> None:
    headers = [("Echo-Delay", "2s"), ("echo-attempts", "503,200"), ("other", "x")]
    controls = parse_controls("delay=1s&codes=500:90,200:10&headers=A:1,B:2&unknown=3", headers)
    assert controls == Controls(1.0, ((500, 90.0), (200, 10.0)), (503, 200), (("A", "1"), ("B", "2")))


@pytest.mark.parametrize(("draw", "status"), [(0.0, 500), (0.89, 500), (0.9, 200), (0.999, 200)])
def test_a_status_is_drawn_by_weight(draw: float, status: int) -> None:
    assert choose_status(Controls(codes=((500, 90), (200, 10))), 1, lambda: draw) == status


def test_attempts_choose_the_status_and_the_last_one_stays() -> None:
    controls = Controls(attempts=(503, 502, 200))
    assert [choose_status(controls, attempt) for attempt in (1, 2, 3, 4)] == [503, 502, 200, 200]


def test_attempts_are_counted_by_request_id_and_the_oldest_are_forgotten() -> None:
    attempts = Attempts(limit=2)
    assert [attempts.count(each) for each in ("a", "a", "b", "c", "a")] == [1, 2, 1, 1, 1]


@pytest.mark.parametrize(
    ("values", "identity"),
    [
        ([], None),
        (["By=spiffe://td/ns/x/sa/b;Hash=1;URI=spiffe://td/ns/x/sa/a"], "spiffe://td/ns/x/sa/a"),
        (['By=x;Subject="CN=a,O=\\"b;c\\"";URI=spiffe://one,By=y;URI=spiffe://two'], "spiffe://two"),
        (["By=x;Hash=2"], None),
        (["URI=spiffe://one", "URI=spiffe://two"], "spiffe://two"),
    ],
)
def test_the_nearest_client_of_xfcc_is_the_identity(values: list[str], identity: str | None) -> None:
    assert identity_of([("X-Forwarded-Client-Cert", value) for value in values]) == identity


def test_the_answer_tells_what_was_seen() -> None:
    answer = Answerer(Options(version="v2", service="b")).answer(Seen("HTTP/1.1", path="/x", headers=[("A", "1")]))
    assert answer.status == 200
    for part in (b'"version":"v2"', b'"service":"b"', b'"path":"/x"', b'"headers":[["A","1"]]', b'"attempt":1'):
        assert part in answer.body


def test_a_control_that_makes_no_sense_is_a_bad_request() -> None:
    answer = Answerer(Options()).answer(Seen("HTTP/1.1", query="delay=soon"))
    assert answer.status == 400
    assert b"expected a duration" in answer.body


def test_health_needs_no_control() -> None:
    assert Answerer(Options()).answer(Seen("HTTP/1.1", path="/healthz", query="codes=500")).status == 200


def test_ports_of_each_kind_may_be_several_and_bound_to_an_address() -> None:
    args = ["--http", "80", "--http", "localhost:84", "--http2", "85", "--http", "pod:82", "--tcp", "[::1]:9090"]
    options = parse_options(args, {"INSTANCE_IP": "10.0.0.7", "HOSTNAME": "b-1"})
    assert options.http == (Listen(80), Listen(84, "127.0.0.1"), Listen(82, "10.0.0.7"), Listen(85))
    assert options.tcp == (Listen(9090, "::1"),)
    assert options.hostname == "b-1"


@pytest.mark.parametrize(("status", "code"), [(200, 0), (204, 0), (503, 14), (404, 12), (418, 2), (9, 9), (0, 0)])
def test_grpc_codes(status: int, code: int) -> None:
    assert grpc_code(status) == code


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({"scheme": "gopher", "host": "b", "port": 1}, "call.scheme"),
        ({"scheme": "http", "port": 1}, "call.host"),
        ({"scheme": "http", "host": "b", "port": 1, "colour": "red"}, "colour"),
    ],
)
def test_a_call_that_says_nothing_sensible_is_refused_by_field(data: dict[str, object], named: str) -> None:
    with pytest.raises(BadCall, match=named):
        parse_call(data)


@pytest.mark.parametrize(
    ("scheme", "port", "authority"),
    [("http", 80, "b"), ("http", 8080, "b:8080"), ("grpc", 80, "b:80"), ("https", 443, "b")],
)
def test_the_authority_has_the_port_unless_it_is_the_schemes_own(scheme: str, port: int, authority: str) -> None:
    assert parse_call({"scheme": scheme, "host": "b", "port": port}).authority == authority
