"""How requests divide among the endpoints of b, which has three."""

import pytest

from meshtest import TestContext, feature
from meshtest.echo import Apps, Responses
from meshtest.echo.checks import all_of, by_hostname, ok, reached, split
from suites.routing.routes import balancing

USERS = 20
"""That so many all hash to the same of three endpoints has a chance below 1e-9."""


@feature("traffic.load-balancing.round-robin", level="core")
def test_round_robin_takes_turns(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().yaml(balancing("simple: ROUND_ROBIN")).apply()
    # One connection, one request at a time: nothing else moves the turn of the client's proxy.
    responses = apps.a.call(apps.b, port=port, count=30, concurrency=1).check(ok())
    hosts = [each.hostname for each in responses]
    assert len(set(hosts[:3])) == 3, f"expected three pods in turn, got {hosts[:6]}"
    assert hosts == hosts[:3] * 10, f"expected the same turn ten times, got {hosts}"


@feature("traffic.load-balancing.least-request", level="core")
def test_least_request_uses_every_endpoint(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().yaml(balancing("simple: LEAST_REQUEST")).apply()
    apps.a.call(apps.b, port=port).check(all_of(ok(), reached({"v1", "v2", "v3"}, share=0.2)))


@feature("traffic.load-balancing.random", level="core")
def test_random_divides_evenly(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().yaml(balancing("simple: RANDOM")).apply()
    apps.a.call(apps.b, port=port).check(split({"v1": 1, "v2": 1, "v3": 1}, deviation=0.15))


@feature("traffic.load-balancing.consistent-hash.header", level="core")
def test_the_same_header_value_goes_to_the_same_endpoint(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().yaml(balancing("consistentHash: {httpHeaderName: x-user}")).apply()
    chosen = set()
    for user in range(USERS):
        responses = apps.a.call(apps.b, port=port, headers={"x-user": f"user-{user}"}, count=4).check(ok())
        chosen.add(_only_host(responses))
    assert len(chosen) > 1, f"{USERS} users all went to {chosen}"


@feature("traffic.load-balancing.consistent-hash.query", level="core")
def test_the_same_query_parameter_goes_to_the_same_endpoint(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().yaml(balancing("consistentHash: {httpQueryParameterName: user}")).apply()
    chosen = set()
    for user in range(USERS):
        responses = apps.a.call(apps.b, port=port, path=f"/x?user={user}&other={user}", count=4).check(ok())
        chosen.add(_only_host(responses))
    assert len(chosen) > 1, f"{USERS} users all went to {chosen}"


@feature("traffic.load-balancing.consistent-hash.cookie", level="core")
def test_the_same_cookie_goes_to_the_same_endpoint(ctx: TestContext, apps: Apps, http_port: str) -> None:
    ctx.config().yaml(balancing("consistentHash: {httpCookie: {name: session, ttl: 60s}}")).apply()
    chosen = set()
    for user in range(USERS):
        cookie = {"cookie": f"other=1; session=s{user}"}
        responses = apps.a.call(apps.b, port=http_port, headers=cookie, count=4).check(ok())
        chosen.add(_only_host(responses))
    assert len(chosen) > 1, f"{USERS} sessions all went to {chosen}"


@feature("traffic.load-balancing.consistent-hash.cookie", level="core")
def test_a_missing_cookie_is_made_and_leads_back(ctx: TestContext, apps: Apps, http_port: str) -> None:
    ctx.config().yaml(balancing("consistentHash: {httpCookie: {name: session, path: /, ttl: 60s}}")).apply()
    first = apps.a.call(apps.b, port=http_port).check(ok())[0]
    made = first.header("set-cookie") or ""
    assert made.startswith("session=") and "Max-Age=60" in made, f"expected a session cookie for 60 s, got {made!r}"
    cookie = {"cookie": made.partition(";")[0]}
    apps.a.call(apps.b, port=http_port, headers=cookie, count=10).check(reached(first.hostname, by=by_hostname))


@feature("traffic.load-balancing.consistent-hash.source", level="core")
def test_the_same_source_address_goes_to_the_same_endpoint(ctx: TestContext, apps: Apps, port: str) -> None:
    ctx.config().yaml(balancing("consistentHash: {useSourceIp: true}")).apply()
    for source in (apps.a, apps.c):
        _only_host(source.call(apps.b, port=port, count=20, new_connection=True).check(ok()))


@feature("traffic.load-balancing.consistent-hash.maglev", level="extended")
@pytest.mark.parametrize("algorithm", ["maglev: {tableSize: 65537}", "ringHash: {minimumRingSize: 1024}"])
def test_hashing_algorithms(ctx: TestContext, apps: Apps, algorithm: str) -> None:
    ctx.config().yaml(balancing(f"consistentHash: {{httpHeaderName: x-user, {algorithm}}}")).apply()
    users = [f"user-{number}" for number in range(USERS)]
    chosen = {_only_host(apps.a.call(apps.b, headers={"x-user": each}, count=4).check(ok())) for each in users}
    assert len(chosen) > 1, f"{USERS} users all went to {chosen}"


def _only_host(responses: Responses) -> str:
    hosts = {each.hostname for each in responses}
    assert len(hosts) == 1, f"expected one endpoint, got {sorted(hosts)}"
    return hosts.pop()
