"""Delegation: one VirtualService leaves part of its routes to another."""

from meshtest import TestContext, feature
from meshtest.echo import Apps
from meshtest.echo.checks import all_of, path, reached, request_header

ROOT_AND_DELEGATE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: b
spec:
  hosts: [b]
  http:
    - match:
        - uri: {prefix: /api}
      delegate: {name: b-api}
    - route:
        - destination: {host: b, subset: v1}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: b-api
spec:
  http:
    - match:
        - uri: {prefix: /api/new}
      rewrite: {uri: /new}
      headers:
        request:
          set: {x-by: delegate}
      route:
        - destination: {host: b, subset: v3}
    - match:
        - uri: {prefix: /api}
          headers: {x-colour: {exact: blue}}
      route:
        - destination: {host: b, subset: v2}
"""


@feature("traffic.delegate", level="core")
def test_a_delegate_routes_what_its_root_leaves_to_it(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().yaml(ROOT_AND_DELEGATE).apply()
    apps.a.call(apps.b, port=port, path="/other").check(reached("v1"))
    apps.a.call(apps.b, port=port, path="/api/new/thing").check(
        all_of(reached("v3"), path("/new/thing"), request_header("x-by", "delegate"))
    )
    apps.a.call(apps.b, port=port, path="/api", headers={"x-colour": "blue"}).check(reached("v2"))


@feature("traffic.delegate", level="core")
def test_both_conditions_must_hold(ctx: TestContext, apps: Apps) -> None:
    ctx.config().yaml(ROOT_AND_DELEGATE).apply()
    # The delegate has no route for it, and the root's next one is not its concern.
    apps.a.call(apps.b, path="/other", headers={"x-colour": "blue"}).check(reached("v1"))
    apps.a.call(apps.b, path="/api/none").check(reached("v1"))


@feature("traffic.delegate", level="extended")
def test_a_delegate_that_does_not_exist_leaves_its_route_out(ctx: TestContext, apps: Apps) -> None:
    ctx.config().yaml(
        """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: b
spec:
  hosts: [b]
  http:
    - match:
        - uri: {prefix: /api}
      delegate: {name: not-there}
    - match:
        - uri: {prefix: /}
      route:
        - destination: {host: b, subset: v2}
"""
    ).apply()
    apps.a.call(apps.b, path="/api").check(reached("v2"))
