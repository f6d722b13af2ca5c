"""Mirroring: copies go to another destination, answers come from the first."""

from meshtest import TestContext, feature
from meshtest.echo import Apps
from meshtest.echo.checks import all_of, ok, reached, service
from meshtest.echo.statistics import acceptance, needed
from suites.routing.routes import routes


@feature("traffic.mirror", level="core")
def test_every_request_is_copied_and_the_answer_is_not_the_copys(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        routes("""
        - route:
            - destination: {host: b, subset: v1}
          mirror: {host: c}
        """)
    ).apply()
    responses = apps.a.call(apps.b, port=port, count=20).check(all_of(ok(), service("b"), reached("v1")))
    copies = apps.c.wait_arrivals(responses, at_least=20)
    assert set(copies.values()) == {1}, f"expected one copy of each request, got {copies}"


@feature("traffic.mirror.percentage", level="core")
def test_a_share_of_requests_is_copied(ctx: TestContext, apps: Apps) -> None:
    share, deviation = 0.5, 0.2
    ctx.config().eval(
        routes("""
        - route:
            - destination: {host: b, subset: v1}
          mirrors:
            - destination: {host: c}
              percentage: {value: {{ percent }}}
        """),
        percent=share * 100,
    ).apply()
    count = needed(share, deviation)
    responses = apps.a.call(apps.b, count=count).check(ok())
    lowest, highest = acceptance(count, share)
    copies = len(apps.c.wait_arrivals(responses, at_least=lowest))
    assert copies <= highest, f"expected {lowest} to {highest} of {count} requests to be copied, got {copies}"


@feature("traffic.mirror.percentage", level="core")
def test_a_share_of_zero_copies_nothing(ctx: TestContext, apps: Apps) -> None:
    ctx.config().eval(
        routes("""
        - match:
            - uri: {exact: /copied}
          route:
            - destination: {host: b}
          mirror: {host: c}
        - route:
            - destination: {host: b}
          mirror: {host: c}
          mirrorPercentage: {value: 0}
        """)
    ).apply()
    silent = apps.a.call(apps.b, path="/silent", count=66).check(ok())
    # The copy of a later request shows that earlier ones would have come by now.
    apps.c.wait_arrivals(apps.a.call(apps.b, path="/copied").check(ok()), at_least=1)
    assert apps.c.arrivals(silent) == {}


@feature("traffic.mirror", level="extended")
def test_an_answer_does_not_wait_for_the_copy(ctx: TestContext, apps: Apps) -> None:
    ctx.config().eval(
        routes("""
        - route:
            - destination: {host: b}
          mirror: {host: b, subset: none}
        """)
    ).apply()
    apps.a.call(apps.b, count=5).check(ok())
