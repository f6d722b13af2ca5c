"""Checks judge responses; nothing is sent here."""

from typing import Any

import pytest

from meshtest.echo import checks
from meshtest.echo.checks import Check
from meshtest.echo.responses import Response, Responses, parse_response


def echoed(version: str = "v1", index: int = 0, *, status: int = 200, **echo: Any) -> Response:
    return Response(
        index,
        f"id-{index}",
        status=status,
        headers=(("X-Twice", "1"), ("x-twice", "2")),
        echo={"version": version, "hostname": f"b-{version}", "attempt": 1, **echo},
    )


def rpc(code: int) -> Response:
    return Response(
        0, "id", grpc_status=code, error="" if code == 0 else "gRPC X: y", error_kind="grpc" if code else ""
    )


def many(*shares: tuple[str, int]) -> list[Response]:
    return [echoed(version, index) for version, count in shares for index in range(count)]


@pytest.mark.parametrize(
    ("check", "holding", "failing"),
    [
        (checks.ok(), echoed(), echoed(status=503)),
        (checks.ok(), rpc(0), rpc(14)),
        (checks.ok(), Response(0, "", protocol="TCP"), Response(0, "", error="x", error_kind="reset")),
        (checks.status(503), echoed(status=503), echoed()),
        (checks.status(503), rpc(14), rpc(0)),
        (checks.status(404), rpc(12), rpc(14)),
        (checks.status(204), rpc(0), rpc(2)),
        (checks.grpc_status(4), rpc(4), rpc(14)),
        (checks.error_contains("refu"), Response(0, "", error="refused"), echoed()),
        (checks.error_kind("dns", "tls"), Response(0, "", error="x", error_kind="tls"), echoed()),
        (checks.request_header("x-a", "1"), echoed(headers=[["X-A", "1"]]), echoed(headers=[])),
        (checks.request_header("x-a", None), echoed(headers=[]), echoed(headers=[["X-A", "1"]])),
        (checks.response_header("X-Twice", "1,2"), echoed(), Response(0, "")),
        (checks.path("/a"), echoed(path="/a"), echoed(path="/b")),
        (checks.authority("b"), echoed(authority="b:80"), echoed(authority="c")),
        (checks.identity("spiffe://x"), echoed(identity="spiffe://x"), echoed(identity=None)),
        (checks.mtls(), echoed(identity="spiffe://x"), echoed(identity=None)),
        (checks.plaintext(), echoed(identity=None), echoed(identity="spiffe://x")),
        (checks.plaintext(), echoed(identity=None), Response(0, "", error="x")),
        (checks.attempts(2), echoed(attempt=2), echoed()),
        (checks.took(at_least=1), Response(0, "", duration=1.5), Response(0, "", duration=0.5)),
        (checks.not_(checks.ok()), echoed(status=500), echoed()),
        (checks.any_of(checks.status(200), checks.status(201)), echoed(status=201), echoed(status=202)),
        (checks.matches("b-v.", checks.by_hostname), echoed(), rpc(0)),
    ],
)
def test_a_check_holds_and_fails(check: Check, holding: Response, failing: Response) -> None:
    assert check.judge([holding]) is None
    finding = check.judge([holding, failing]) if not isinstance(check, checks.Combined) else check.judge([failing])
    assert finding is not None
    assert finding.offending == failing
    assert finding.expected


def test_no_response_at_all_satisfies_nothing() -> None:
    assert checks.ok().judge([]) is not None


def test_a_failure_counts_what_came_instead() -> None:
    finding = checks.ok().judge([echoed(), *[echoed(status=503)] * 3])
    assert finding is not None
    assert finding.got == "3 × status 503, 1 × status 200"


def test_a_split_chooses_its_count_and_holds_for_a_fair_outcome() -> None:
    check = checks.split({"v1": 80, "v2": 20})
    right = round(check.count * 0.8)
    assert check.statistical
    assert check.judge(many(("v1", right), ("v2", check.count - right))) is None


def test_a_split_shows_expected_bounds_and_got_and_blames_the_side_that_has_too_many() -> None:
    check = checks.split({"v1": 80, "v2": 20})
    finding = check.judge(many(("v1", check.count // 2), ("v2", check.count - check.count // 2)))
    assert finding is not None
    assert "v1 80.0%, v2 20.0%" in finding.expected
    assert "v1 778 (50.0%), v2 778 (50.0%)" in finding.got
    assert finding.offending is not None
    assert finding.offending.version == "v2"


def test_a_single_stranger_breaks_a_split() -> None:
    check = checks.split({"v1": 80, "v2": 20})
    right = round(check.count * 0.8)
    finding = check.judge([*many(("v1", right), ("v2", check.count - right)), echoed(status=503, version="")])
    assert finding is not None
    assert "status 503 1" in finding.got


def test_reached_wants_exactly_these() -> None:
    check = checks.reached({"v1", "v2"})
    assert check.count == 31
    assert check.judge(many(("v1", 1), ("v2", 30))) is None
    assert check.judge(many(("v1", 31))) is not None
    assert check.judge(many(("v1", 10), ("v2", 10), ("v3", 11))) is not None


def test_each_decides_for_every_response_alone() -> None:
    both = [echoed(), echoed(status=503)]
    assert checks.any_of(checks.status(200), checks.status(503)).judge(both) is not None
    assert checks.each(checks.any_of(checks.status(200), checks.status(503))).judge(both) is None


def test_all_of_needs_the_most_and_tells_everything_that_failed() -> None:
    check = checks.all_of(checks.ok(), checks.reached({"v1", "v2"}), checks.response_header("x-none", "1"))
    assert check.count == 31
    finding = check.judge(many(("v1", 31)))
    assert finding is not None
    assert "reach" in finding.expected and "x-none" in finding.expected


def test_responses_are_a_sequence_that_tells_itself_in_short() -> None:
    responses = Responses(many(("v1", 2), ("v2", 1)))
    assert len(responses[1:]) == 2
    assert repr(responses) == "<3 responses: 3 × status 200>"
    assert responses.count_by(checks.by_version) == {"v1": 2, "v2": 1}


def test_a_body_that_is_no_echo_is_kept_as_text() -> None:
    data: dict[str, Any] = dict.fromkeys(Response.__dataclass_fields__, None)
    data |= {"index": 0, "id": "x", "headers": [["a", "b"]], "body": '{"error": 1}', "error": "", "duration_ms": 1500}
    response = parse_response(data)
    assert (response.version, response.body, response.duration) == ("", '{"error": 1}', 1.5)
