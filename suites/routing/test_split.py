"""Weights, subsets and the default route."""

import pytest

from meshtest import TestContext, feature
from meshtest.echo import Apps
from meshtest.echo.checks import all_of, ok, reached, split, status
from suites.routing.routes import routes


@feature("traffic.split.weighted", level="core")
def test_requests_divide_by_weight(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        routes("""
        - route:
            - destination: {host: {{ b }}, subset: v1}
              weight: {{ weights.v1 }}
            - destination: {host: {{ b }}, subset: v2}
              weight: {{ weights.v2 }}
        """),
        b=apps.b,
        weights={"v1": 80, "v2": 20},
    ).apply()
    apps.a.call(apps.b, port=port).check(split({"v1": 80, "v2": 20}))


@feature("traffic.split.weighted", level="core")
def test_a_weight_of_zero_gets_nothing(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        routes("""
        - route:
            - destination: {host: b, subset: v1}
              weight: 0
            - destination: {host: b, subset: v3}
              weight: 100
        """)
    ).apply()
    apps.a.call(apps.b, port=port).check(split({"v1": 0, "v3": 100}))


@feature("traffic.split.weighted", level="core")
def test_weights_divide_between_services(ctx: TestContext, apps: Apps) -> None:
    ctx.config().eval(
        routes("""
        - route:
            - destination: {host: b, subset: v1}
              weight: 50
            - destination: {host: c}
              weight: 50
        """)
    ).apply()
    apps.a.call(apps.b).check(split({"b": 50, "c": 50}, by=lambda each: each.service or each.outcome))


@feature("traffic.subset", level="core")
@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_a_subset_is_the_pods_with_its_labels(ctx: TestContext, apps: Apps, port: str, version: str) -> None:
    ctx.config().eval(
        routes("""
        - route:
            - destination: {host: b, subset: {{ version }}}
        """),
        version=version,
    ).apply()
    apps.a.call(apps.b, port=port).check(reached(version))


@feature("traffic.route.default", level="core")
def test_without_config_every_version_is_reached(apps: Apps, port: str) -> None:
    apps.a.call(apps.b, port=port).check(all_of(ok(), reached({"v1", "v2", "v3"}, share=0.2)))


@feature("traffic.route.default", level="core")
def test_a_destination_without_subset_is_the_whole_service(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        routes("""
        - route:
            - destination: {host: b}
        """)
    ).apply()
    apps.a.call(apps.b, port=port).check(reached({"v1", "v2", "v3"}, share=0.2))


@feature("traffic.route.default", level="core")
def test_what_no_route_matches_is_not_found(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        routes("""
        - match:
            - uri: {prefix: /only}
          route:
            - destination: {host: b}
        """)
    ).apply()
    apps.a.call(apps.b, port=port, path="/only/this").check(ok())
    apps.a.call(apps.b, port=port, path="/other").check(status(404))


@feature("traffic.subset.empty", level="core")
def test_a_subset_without_endpoint_is_unavailable(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        routes("""
        - route:
            - destination: {host: b, subset: none}
        """)
    ).apply()
    apps.a.call(apps.b, port=port).check(status(503))


@feature("traffic.subset.empty", level="extended")
def test_a_subset_that_no_rule_defines_is_unavailable(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        routes("""
        - route:
            - destination: {host: b, subset: never-defined}
        """)
    ).apply()
    apps.a.call(apps.b, port=port).check(status(503))
