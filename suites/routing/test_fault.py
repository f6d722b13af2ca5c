"""Injected faults: aborts and delays."""

import pytest

from meshtest import TestContext, feature
from meshtest.echo import Apps, Response
from meshtest.echo.checks import all_of, by_ok, grpc_status, ok, split, status, took
from suites.routing.routes import routes


@feature("traffic.fault.abort", level="core")
def test_an_abort_answers_instead_of_the_workload(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        routes("""
        - fault:
            abort: {httpStatus: 503, percentage: {value: 100}}
          route:
            - destination: {host: b}
        """)
    ).apply()
    responses = apps.a.call(apps.b, port=port, count=5).check(status(503))
    assert apps.b.arrivals(responses) == {}, "aborted requests reached the workload"


@feature("traffic.fault.abort.grpc", level="core")
@pytest.mark.parametrize(("name", "code"), [("UNAVAILABLE", 14), ("PERMISSION_DENIED", 7)])
def test_an_abort_has_a_grpc_status(ctx: TestContext, apps: Apps, name: str, code: int) -> None:
    ctx.config().eval(
        routes("""
        - fault:
            abort: {grpcStatus: {{ name }}, percentage: {value: 100}}
          route:
            - destination: {host: b}
        """),
        name=name,
    ).apply()
    apps.a.call(apps.b, port="grpc").check(grpc_status(code))


@feature("traffic.fault.abort.percentage", level="core")
def test_a_share_of_requests_is_aborted(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        routes("""
        - fault:
            abort: {httpStatus: 503, percentage: {value: 20}}
          route:
            - destination: {host: b}
        """)
    ).apply()
    apps.a.call(apps.b, port=port).check(split({"ok": 80, "aborted": 20}, by=_aborted, deviation=0.15))


@feature("traffic.fault.abort", level="core")
def test_only_what_the_route_matches_is_aborted(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        routes("""
        - match:
            - headers: {x-user: {exact: unlucky}}
          fault:
            abort: {httpStatus: 503, percentage: {value: 100}}
          route:
            - destination: {host: b}
        - route:
            - destination: {host: b}
        """)
    ).apply()
    apps.a.call(apps.b, port=port, headers={"x-user": "unlucky"}).check(status(503))
    apps.a.call(apps.b, port=port, headers={"x-user": "lucky"}).check(ok())


@feature("traffic.fault.delay", level="core")
def test_a_delay_holds_requests_back(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        routes("""
        - match:
            - uri: {prefix: /slow}
          fault:
            delay: {fixedDelay: 300ms, percentage: {value: 100}}
          route:
            - destination: {host: b}
        - route:
            - destination: {host: b}
        """)
    ).apply()
    apps.a.call(apps.b, port=port, path="/slow", count=3).check(all_of(ok(), took(at_least=0.3)))
    apps.a.call(apps.b, port=port, path="/fast", count=3).check(all_of(ok(), took(at_most=0.3)))


@feature("traffic.fault.delay.percentage", level="core")
def test_a_share_of_requests_is_delayed(ctx: TestContext, apps: Apps) -> None:
    ctx.config().eval(
        routes("""
        - fault:
            delay: {fixedDelay: 1s, percentage: {value: 50}}
          route:
            - destination: {host: b}
        """)
    ).apply()

    def speed(response: Response) -> str:
        return "slow" if response.duration >= 0.95 else "quick"

    call = apps.a.call(apps.b, concurrency=128)
    call.check(all_of(ok(), split({"slow": 50, "quick": 50}, by=speed, deviation=0.3)))


@feature("traffic.fault.abort.not-retried", level="core")
def test_an_injected_abort_is_not_retried(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        routes("""
        - fault:
            abort: {httpStatus: 503, percentage: {value: 50}}
          retries: {attempts: 5, perTryTimeout: 2s, retryOn: '5xx,unavailable'}
          route:
            - destination: {host: b}
        """)
    ).apply()
    # Retried, only one of 64 would stay aborted.
    apps.a.call(apps.b, port=port).check(split({"ok": 50, "aborted": 50}, by=_aborted, deviation=0.3))


def _aborted(response: Response) -> str:
    outcome = by_ok(response)
    return "aborted" if response.status == 503 or response.grpc_status == 14 else outcome
