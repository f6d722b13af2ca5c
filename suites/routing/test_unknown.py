"""Hosts that the mesh does not know."""

import pytest

from meshtest import TestContext, feature
from meshtest.echo import Apps
from meshtest.echo.checks import all_of, not_, ok, service, status, where


@feature("traffic.outbound.allow-any", level="core")
def test_an_unknown_host_on_a_known_port_is_passed_through(apps: Apps) -> None:
    apps.a.call("unknown.example.com", port=80, address=apps.b.address).check(all_of(ok(), service("b")))


@feature("traffic.outbound.allow-any", level="core")
def test_an_unknown_address_is_passed_through(apps: Apps) -> None:
    pod = apps.naked.pods[0]
    apps.a.call(pod.ip, port=apps.naked.config.port("http").workload_port).check(all_of(ok(), service("naked")))


@pytest.mark.mesh_wide
@feature("traffic.outbound.registry-only", level="core")
def test_unknown_hosts_are_refused_where_only_the_registry_counts(ctx: TestContext, apps: Apps) -> None:
    ctx.track(lambda: ctx.mesh.reconfigure({"outboundTrafficPolicy": {"mode": "ALLOW_ANY"}}))
    ctx.mesh.reconfigure({"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}})
    pod = apps.naked.pods[0]
    apps.a.call(apps.b).check(ok())
    apps.a.call("unknown.example.com", port=80, address=apps.b.address).check(status(502))
    apps.a.call(pod.ip, port=apps.naked.config.port("http").workload_port).check(not_(ok()))
    refused = where("no answer of naked", lambda each: not each.echo, lambda each: each.outcome)
    apps.a.call(pod.ip, port=apps.naked.config.port("tcp").workload_port, scheme="tcp").check(refused)


@feature("traffic.permissive", level="core")
def test_a_workload_without_sidecar_gets_through_in_both_directions(apps: Apps, port: str) -> None:
    apps.naked.call(apps.b, port=port).check(ok())
    apps.a.call(apps.naked, port=port).check(ok())
