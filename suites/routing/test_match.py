"""Conditions of routes: what meets them goes to v2, everything else to v1."""

import pytest

from meshtest import TestContext, feature
from meshtest.echo import Apps
from meshtest.echo.checks import reached
from suites.routing.routes import routes, to_v2_if


@feature("traffic.match.path", level="core")
@pytest.mark.parametrize(
    ("condition", "meeting", "missing"),
    [
        ("exact: /exact", ["/exact"], ["/exact/", "/exactly", "/EXACT", "/"]),
        ("prefix: /pre", ["/pre", "/prefix", "/pre/fix"], ["/", "/Pre", "/x/pre"]),
        ("regex: '/v[0-9]+/.*'", ["/v1/", "/v22/x"], ["/v/x", "/x/v1/", "/v1"]),
    ],
    ids=["exact", "prefix", "regex"],
)
def test_path(ctx: TestContext, apps: Apps, port: str, condition: str, meeting: list[str], missing: list[str]) -> None:
    ctx.config().eval(to_v2_if(f"- uri: {{{condition}}}")).apply()
    for path in meeting:
        apps.a.call(apps.b, port=port, path=path).check(reached("v2"))
    for path in missing:
        apps.a.call(apps.b, port=port, path=path).check(reached("v1"))


@feature("traffic.match.path", level="core")
def test_path_is_matched_without_its_query(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(to_v2_if("- uri: {exact: /exact}")).apply()
    apps.a.call(apps.b, port=port, path="/exact?a=1").check(reached("v2"))


@feature("traffic.match.path.ignore-case", level="extended")
def test_path_whatever_its_case(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        to_v2_if("""
        - uri: {prefix: /Mixed}
          ignoreUriCase: true
        """)
    ).apply()
    apps.a.call(apps.b, port=port, path="/mIXED/x").check(reached("v2"))
    apps.a.call(apps.b, port=port, path="/mix").check(reached("v1"))


@feature("traffic.match.method", level="core")
def test_method(ctx: TestContext, apps: Apps, http_port: str) -> None:
    ctx.config().eval(to_v2_if("- method: {exact: POST}")).apply()
    apps.a.call(apps.b, port=http_port, method="POST").check(reached("v2"))
    apps.a.call(apps.b, port=http_port, method="GET").check(reached("v1"))
    apps.a.call(apps.b, port=http_port, method="PUT").check(reached("v1"))


@feature("traffic.match.header", level="core")
@pytest.mark.parametrize(
    ("condition", "meeting", "missing"),
    [
        ("exact: Blue", ["Blue"], ["blue", "Blueish", ""]),
        ("prefix: blu", ["blu", "blue"], ["Blue", "a blue"]),
        ("regex: 'gr[ae]y'", ["gray", "grey"], ["green", "grey2"]),
    ],
    ids=["exact", "prefix", "regex"],
)
def test_header(
    ctx: TestContext, apps: Apps, port: str, condition: str, meeting: list[str], missing: list[str]
) -> None:
    ctx.config().eval(to_v2_if(f"- headers: {{x-colour: {{{condition}}}}}")).apply()
    for value in meeting:
        apps.a.call(apps.b, port=port, headers={"x-colour": value}).check(reached("v2"))
    for value in missing:
        apps.a.call(apps.b, port=port, headers={"x-colour": value}).check(reached("v1"))
    apps.a.call(apps.b, port=port).check(reached("v1"))


@feature("traffic.match.header.present", level="extended")
def test_header_of_any_value(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(to_v2_if("- headers: {x-colour: {}}")).apply()
    apps.a.call(apps.b, port=port, headers={"x-colour": "any"}).check(reached("v2"))
    apps.a.call(apps.b, port=port).check(reached("v1"))


@feature("traffic.match.without-header", level="core")
def test_without_header(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(to_v2_if("- withoutHeaders: {x-colour: {exact: red}}")).apply()
    apps.a.call(apps.b, port=port, headers={"x-colour": "blue"}).check(reached("v2"))
    apps.a.call(apps.b, port=port).check(reached("v2"))
    apps.a.call(apps.b, port=port, headers={"x-colour": "red"}).check(reached("v1"))


@feature("traffic.match.query", level="core")
@pytest.mark.parametrize(
    ("condition", "meeting", "missing"),
    [
        ("exact: '1'", ["/?q=1", "/path?other=2&q=1"], ["/?q=12", "/?p=1", "/"]),
        ("regex: '[0-9]+'", ["/?q=1", "/?q=42"], ["/?q=x1", "/?q="]),
    ],
    ids=["exact", "regex"],
)
def test_query_parameter(
    ctx: TestContext, apps: Apps, port: str, condition: str, meeting: list[str], missing: list[str]
) -> None:
    ctx.config().eval(to_v2_if(f"- queryParams: {{q: {{{condition}}}}}")).apply()
    for path in meeting:
        apps.a.call(apps.b, port=port, path=path).check(reached("v2"))
    for path in missing:
        apps.a.call(apps.b, port=port, path=path).check(reached("v1"))


@feature("traffic.match.authority", level="core")
def test_authority(ctx: TestContext, apps: Apps, port: str) -> None:
    short = f"b.{apps.b.namespace}"
    number = apps.b.config.port(port).service_port
    ctx.config().eval(to_v2_if("- authority: {regex: '{{ short }}(:[0-9]+)?'}"), short=short).apply()
    apps.a.call(apps.b, port=port, host=short).check(reached("v2"))
    apps.a.call(apps.b, port=port, host=f"{short}:{number}").check(reached("v2"))
    apps.a.call(apps.b, port=port, host=apps.b.host).check(reached("v1"))


@feature("traffic.match.authority", level="core")
def test_authority_by_prefix(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(to_v2_if("- authority: {prefix: '{{ b }}'}"), b=apps.b).apply()
    apps.a.call(apps.b, port=port).check(reached("v2"))
    apps.a.call(apps.b, port=port, host=f"b.{apps.b.namespace}").check(reached("v1"))


@feature("traffic.match.source-labels", level="core")
def test_source_labels(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(to_v2_if("- sourceLabels: {app: c}")).apply()
    apps.c.call(apps.b, port=port).check(reached("v2"))
    apps.a.call(apps.b, port=port).check(reached("v1"))


@feature("traffic.match.port", level="extended")
def test_port(ctx: TestContext, apps: Apps) -> None:
    ctx.config().eval(to_v2_if("- port: 85")).apply()
    apps.a.call(apps.b, port="http2").check(reached("v2"))
    apps.a.call(apps.b, port="http").check(reached("v1"))


@feature("traffic.match.order", level="core")
def test_the_first_route_that_matches_wins(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        routes("""
        - match:
            - uri: {prefix: /api/admin}
          route:
            - destination: {host: b, subset: v3}
        - match:
            - uri: {prefix: /api}
          route:
            - destination: {host: b, subset: v2}
        - match:
            - uri: {exact: /api/exact}
          route:
            - destination: {host: b, subset: v3}
        - route:
            - destination: {host: b, subset: v1}
        """)
    ).apply()
    apps.a.call(apps.b, port=port, path="/api/admin").check(reached("v3"))
    apps.a.call(apps.b, port=port, path="/api/other").check(reached("v2"))
    apps.a.call(apps.b, port=port, path="/api/exact").check(reached("v2"))
    apps.a.call(apps.b, port=port, path="/other").check(reached("v1"))


@feature("traffic.match.and", level="core")
def test_all_conditions_of_a_match_must_hold(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        to_v2_if("""
        - uri: {prefix: /api}
          headers:
            x-colour: {exact: blue}
            x-size: {exact: big}
        """)
    ).apply()
    both = {"x-colour": "blue", "x-size": "big"}
    apps.a.call(apps.b, port=port, path="/api", headers=both).check(reached("v2"))
    apps.a.call(apps.b, port=port, path="/other", headers=both).check(reached("v1"))
    apps.a.call(apps.b, port=port, path="/api", headers={"x-colour": "blue"}).check(reached("v1"))
    apps.a.call(apps.b, port=port, path="/api", headers={"x-size": "big"}).check(reached("v1"))


@feature("traffic.match.or", level="core")
def test_one_match_of_several_is_enough(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        to_v2_if("""
        - uri: {prefix: /api}
        - headers: {x-colour: {exact: blue}}
        """)
    ).apply()
    apps.a.call(apps.b, port=port, path="/api").check(reached("v2"))
    apps.a.call(apps.b, port=port, path="/other", headers={"x-colour": "blue"}).check(reached("v2"))
    apps.a.call(apps.b, port=port, path="/other").check(reached("v1"))
