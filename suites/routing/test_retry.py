"""Timeouts and retries. c has a single pod, which counts how often it sees each request."""

from meshtest import TestContext, feature
from meshtest.echo import Apps
from meshtest.echo.checks import all_of, attempts, grpc_status, ok, status, took
from suites.routing.routes import routes


@feature("traffic.timeout", level="core")
def test_a_request_times_out(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        routes(
            """
            - timeout: 200ms
              route:
                - destination: {host: c}
            """,
            host="c",
        )
    ).apply()
    late = all_of(status(504), took(at_least=0.2, at_most=2.5))
    apps.a.call(apps.c, port=port, headers={"echo-delay": "3s"}).check(late)
    apps.a.call(apps.c, port=port).check(ok())


@feature("traffic.retry.attempts", level="core")
def test_a_failing_request_is_tried_again(ctx: TestContext, apps: Apps, port: str) -> None:
    _retry(ctx, "attempts: 2, retryOn: '5xx,unavailable'")
    apps.a.call(apps.c, port=port, headers={"echo-attempts": "503,503,200"}).check(all_of(ok(), attempts(3)))


@feature("traffic.retry.attempts", level="core")
def test_no_more_attempts_are_made_than_allowed(ctx: TestContext, apps: Apps, port: str) -> None:
    _retry(ctx, "attempts: 1, retryOn: '5xx,unavailable'")
    responses = apps.a.call(apps.c, port=port, headers={"echo-attempts": "503,503,200"}).check(status(503))
    assert list(apps.c.arrivals(responses).values()) == [2]


@feature("traffic.retry.attempts", level="core")
def test_no_attempts_are_no_retries(ctx: TestContext, apps: Apps, port: str) -> None:
    _retry(ctx, "attempts: 0")
    responses = apps.a.call(apps.c, port=port, headers={"echo-attempts": "503,200"}).check(status(503))
    assert list(apps.c.arrivals(responses).values()) == [1]


@feature("traffic.retry.conditions", level="core")
def test_only_what_retry_on_names_is_tried_again(ctx: TestContext, apps: Apps, http_port: str) -> None:
    _retry(ctx, "attempts: 3, retryOn: gateway-error")
    responses = apps.a.call(apps.c, port=http_port, headers={"echo-attempts": "500,200"}).check(status(500))
    assert list(apps.c.arrivals(responses).values()) == [1]
    apps.a.call(apps.c, port=http_port, headers={"echo-attempts": "502,503,504,200"}).check(all_of(ok(), attempts(4)))


@feature("traffic.retry.conditions", level="extended")
def test_a_status_code_is_a_condition(ctx: TestContext, apps: Apps, http_port: str) -> None:
    _retry(ctx, "attempts: 3, retryOn: '418'")
    apps.a.call(apps.c, port=http_port, headers={"echo-attempts": "418,200"}).check(all_of(ok(), attempts(2)))
    apps.a.call(apps.c, port=http_port, headers={"echo-attempts": "500,200"}).check(status(500))


@feature("traffic.retry.conditions", level="core")
def test_grpc_statuses_are_conditions(ctx: TestContext, apps: Apps) -> None:
    _retry(ctx, "attempts: 3, retryOn: 'resource-exhausted'")
    apps.a.call(apps.c, port="grpc", headers={"echo-attempts": "8,200"}).check(all_of(ok(), attempts(2)))
    apps.a.call(apps.c, port="grpc", headers={"echo-attempts": "13,200"}).check(grpc_status(13))


@feature("traffic.retry.per-try-timeout", level="core")
def test_an_attempt_that_takes_too_long_is_given_up(ctx: TestContext, apps: Apps, http_port: str) -> None:
    _retry(ctx, "attempts: 2, perTryTimeout: 200ms, retryOn: 5xx")
    responses = apps.a.call(apps.c, port=http_port, headers={"echo-delay": "5s"}).check(
        all_of(status(504), took(at_least=0.6, at_most=4.0))
    )
    assert list(apps.c.arrivals(responses).values()) == [3]


def _retry(ctx: TestContext, policy: str) -> None:
    ctx.config().eval(
        routes(
            """
            - retries: {{ '{' }}{{ policy }}{{ '}' }}
              route:
                - destination: {host: c}
            """,
            host="c",
        ),
        policy=policy,
    ).apply()
