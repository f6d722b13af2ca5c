"""Rewrites of path and authority, redirects, direct responses."""

import pytest

from meshtest import TestContext, feature
from meshtest.echo import Apps, Response
from meshtest.echo.checks import all_of, authority, body, ok, path, response_header, service, status, where
from suites.routing.routes import routes


@feature("traffic.rewrite.path", level="core")
def test_a_prefix_is_replaced_and_the_rest_kept(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        routes("""
        - match:
            - uri: {prefix: /old}
          rewrite: {uri: /new}
          route:
            - destination: {host: b}
        """)
    ).apply()
    apps.a.call(apps.b, port=port, path="/old/rest").check(all_of(ok(), path("/new/rest")))
    kept = where("query a=1", lambda each: each.query == "a=1", lambda each: each.query)
    apps.a.call(apps.b, port=port, path="/old/rest?a=1").check(all_of(path("/new/rest"), kept))


@feature("traffic.rewrite.path", level="core")
def test_an_exact_path_is_replaced_in_whole(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        routes("""
        - match:
            - uri: {exact: /old}
          rewrite: {uri: /brand/new}
          route:
            - destination: {host: b}
        """)
    ).apply()
    apps.a.call(apps.b, port=port, path="/old").check(all_of(ok(), path("/brand/new")))


@feature("traffic.rewrite.path.regex", level="extended")
def test_a_path_is_rewritten_by_a_regular_expression(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().eval(
        routes(r"""
        - rewrite:
            uriRegexRewrite:
              match: /service/([^/]+)(/.*)
              rewrite: \2/of/\1
          route:
            - destination: {host: b}
        """)
    ).apply()
    apps.a.call(apps.b, port=port, path="/service/foo/v1/api").check(all_of(ok(), path("/v1/api/of/foo")))


@feature("traffic.rewrite.authority", level="core")
def test_the_authority_is_replaced(ctx: TestContext, apps: Apps, http_port: str) -> None:
    ctx.config().eval(
        routes("""
        - rewrite: {authority: other.example.com}
          route:
            - destination: {host: b}
        """)
    ).apply()
    apps.a.call(apps.b, port=http_port).check(all_of(ok(), authority("other.example.com")))


@feature("traffic.redirect", level="core")
def test_a_redirect_is_301_and_keeps_what_it_does_not_name(ctx: TestContext, apps: Apps, http_port: str) -> None:
    ctx.config().eval(
        routes("""
        - match:
            - uri: {exact: /path}
          redirect: {uri: /new/path}
        - redirect: {authority: c.example.com}
        """)
    ).apply()
    to_path = apps.a.call(apps.b, port=http_port, path="/path").check(status(301))
    assert _location(to_path[0]) == (apps.b.host, "/new/path")
    to_host = apps.a.call(apps.b, port=http_port, path="/kept").check(status(301))
    assert _location(to_host[0])[1] == "/kept"
    assert _location(to_host[0])[0] == "c.example.com"


@feature("traffic.redirect.code", level="core")
@pytest.mark.parametrize("code", [302, 303, 307, 308])
def test_a_redirect_has_the_code_that_it_names(ctx: TestContext, apps: Apps, http_port: str, code: int) -> None:
    ctx.config().eval(
        routes("""
        - redirect: {uri: /new, redirectCode: {{ code }}}
        """),
        code=code,
    ).apply()
    apps.a.call(apps.b, port=http_port).check(status(code))


@feature("traffic.redirect", level="core")
def test_a_redirect_leads_to_another_service(ctx: TestContext, apps: Apps) -> None:
    ctx.config().eval(
        routes("""
        - redirect: {authority: '{{ c }}', uri: /there}
        """),
        c=apps.c,
    ).apply()
    apps.a.call(apps.b, follow_redirects=True).check(all_of(ok(), service("c"), path("/there")))


@feature("traffic.direct-response", level="core")
def test_a_direct_response_comes_from_the_proxy(ctx: TestContext, apps: Apps, http_port: str) -> None:
    ctx.config().eval(
        routes("""
        - match:
            - uri: {exact: /teapot}
          directResponse:
            status: 418
            body: {string: short and stout}
          headers:
            response:
              set: {x-pot: tea}
        - route:
            - destination: {host: b}
        """)
    ).apply()
    stout = all_of(status(418), body("short and stout"), response_header("x-pot", "tea"))
    apps.a.call(apps.b, port=http_port, path="/teapot").check(stout)
    apps.a.call(apps.b, port=http_port, path="/coffee").check(ok())


def _location(response: Response) -> tuple[str, str]:
    """Host without port, and path, of a redirect."""
    target = (response.header("location") or "").partition("://")[2]
    host, slash, rest = target.partition("/")
    return host.partition(":")[0], slash + rest
