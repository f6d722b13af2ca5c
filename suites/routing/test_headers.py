"""Headers that routes and destinations set, add and remove; CORS."""

from meshtest import TestContext, feature
from meshtest.echo import Apps
from meshtest.echo.checks import all_of, ok, request_header, response_header, status
from suites.routing.routes import routes


@feature("traffic.headers.request", level="core")
def test_a_route_changes_request_headers(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        routes("""
        - headers:
            request:
              set: {x-set: by-route}
              add: {x-add: by-route}
              remove: [x-remove]
          route:
            - destination: {host: b}
        """)
    ).apply()
    sent = {"x-set": "sent", "x-add": "sent", "x-remove": "sent", "x-other": "sent"}
    apps.a.call(apps.b, port=port, headers=sent).check(
        ok(),
        request_header("x-set", "by-route"),
        request_header("x-add", "sent,by-route"),
        request_header("x-remove", None),
        request_header("x-other", "sent"),
    )
    apps.a.call(apps.b, port=port).check(
        request_header("x-set", "by-route"), request_header("x-add", "by-route"), request_header("x-remove", None)
    )


@feature("traffic.headers.response", level="core")
def test_a_route_changes_response_headers(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        routes("""
        - headers:
            response:
              set: {x-set: by-route}
              add: {x-add: by-route}
              remove: [x-remove]
          route:
            - destination: {host: b}
        """)
    ).apply()
    answered = {"echo-headers": "x-set:app,x-add:app,x-remove:app,x-other:app"}
    apps.a.call(apps.b, port=port, headers=answered).check(
        ok(),
        response_header("x-set", "by-route"),
        response_header("x-add", "app,by-route"),
        response_header("x-remove", None),
        response_header("x-other", "app"),
    )


@feature("traffic.headers.destination", level="core")
def test_each_destination_changes_headers_of_its_own(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        routes("""
        - headers:
            request:
              set: {x-route: all}
          route:
            - destination: {host: b, subset: v1}
              weight: 50
              headers:
                request:
                  set: {x-to: first}
                  remove: [x-remove]
                response:
                  add: {x-from: first}
            - destination: {host: b, subset: v2}
              weight: 50
              headers:
                request:
                  set: {x-to: second}
                response:
                  add: {x-from: second}
        """)
    ).apply()
    responses = apps.a.call(apps.b, port=port, count=60, headers={"x-remove": "sent"}).check(
        ok(), request_header("x-route", "all")
    )
    seen = {
        each.version: (
            each.request_header_values("x-to"),
            each.header("x-from"),
            each.request_header_values("x-remove"),
        )
        for each in responses
    }
    assert seen == {"v1": (["first"], "first", []), "v2": (["second"], "second", ["sent"])}


@feature("traffic.cors", level="core")
def test_a_preflight_is_answered_by_the_proxy(ctx: TestContext, apps: Apps, http_port: str) -> None:
    _allow_example(ctx)
    preflight = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
    responses = apps.a.call(apps.b, port=http_port, method="OPTIONS", headers=preflight).check(
        status(200),
        response_header("access-control-allow-origin", "https://app.example.com"),
        response_header("access-control-allow-methods", "POST,GET"),
        response_header("access-control-allow-headers", "x-one,x-two"),
        response_header("access-control-max-age", "300"),
        response_header("access-control-allow-credentials", "true"),
    )
    assert not responses[0].echo, "the preflight reached the workload"


@feature("traffic.cors", level="core")
def test_an_allowed_origin_is_told_so_and_another_is_not(ctx: TestContext, apps: Apps, http_port: str) -> None:
    _allow_example(ctx)
    apps.a.call(apps.b, port=http_port, headers={"Origin": "https://app.example.com"}).check(
        all_of(
            ok(),
            response_header("access-control-allow-origin", "https://app.example.com"),
            response_header("access-control-expose-headers", "x-shown"),
        )
    )
    apps.a.call(apps.b, port=http_port, headers={"Origin": "https://evil.example.net"}).check(
        response_header("access-control-allow-origin", None)
    )


def _allow_example(ctx: TestContext) -> None:
    ctx.config().eval(
        routes("""
        - corsPolicy:
            allowOrigins:
              - regex: https://.*[.]example[.]com
            allowMethods: [POST, GET]
            allowHeaders: [x-one, x-two]
            exposeHeaders: [x-shown]
            maxAge: 300s
            allowCredentials: true
          route:
            - destination: {host: b}
        """)
    ).apply()
