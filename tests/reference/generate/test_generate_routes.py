"""Route configurations: what each field of a VirtualService becomes."""

from typing import Any

import pytest
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2

from reference.controlplane.generate import RDS, Proxy
from tests.reference.generate.everything import DESTINATION_RULE, VIRTUAL_SERVICE
from tests.reference.generate.mesh_state import Mesh, Obj, config, proxy_a, world

B = "b.demo.svc.cluster.local"
TO_B: Obj = {"destination": {"host": "b"}}
FAULT, CORS = "envoy.filters.http.fault", "envoy.filters.http.cors"


def _rds(mesh: Mesh, name: str = "80", proxy: Proxy | None = None) -> Any:
    body = mesh.generate(proxy or proxy_a(), RDS, name)[name].body
    return route_pb2.RouteConfiguration.FromString(body)


def _host(made: Any, name: str) -> Any:
    return next(host for host in made.virtual_hosts if host.name == name)


def _routes(*http: Obj, port: int = 80, proxy: Proxy | None = None, more: tuple[Obj, ...] = ()) -> Any:
    rule = config("VirtualService", "b", {"hosts": ["b"], "http": list(http)})
    return _host(_rds(Mesh(world(rule, *more)), str(port), proxy), f"{B}:{port}").routes


def _action(**route: Any) -> Any:
    (made,) = _routes({"route": [TO_B], **route})
    return made


@pytest.fixture(scope="module")
def everything() -> Any:
    return _host(_rds(Mesh(world(VIRTUAL_SERVICE, DESTINATION_RULE))), f"{B}:80").routes


def test_plain_service() -> None:
    host = _host(_rds(Mesh(world())), f"{B}:80")
    assert list(host.domains) == [B, f"{B}.", "b", "b.demo", "b.demo.svc", "10.96.0.3"]
    (route,) = host.routes
    assert (route.name, route.match.prefix) == ("default", "/")
    assert route.route.cluster == f"outbound|80||{B}"
    assert route.route.timeout.ToMilliseconds() == 0 and route.route.HasField("timeout")
    assert route.route.retry_policy.num_retries.value == 2
    assert route.route.retry_policy.retry_on == "connect-failure,refused-stream,unavailable,cancelled"


def test_bare_name_only_in_the_same_namespace() -> None:
    host = _host(_rds(Mesh(world()), proxy=proxy_a("other")), f"{B}:80")
    assert "b" not in host.domains and "b.demo" in host.domains


def test_only_http_ports_share_a_configuration() -> None:
    made = _rds(Mesh(world()), "9090")
    assert [host.name for host in made.virtual_hosts] == ["allow_any"]


def test_undeclared_port_has_a_configuration_of_its_own() -> None:
    (host,) = _rds(Mesh(world()), f"{B}:1234").virtual_hosts
    assert list(host.domains) == ["*"]
    assert host.routes[0].route.cluster == f"outbound|1234||{B}"


def test_names_that_do_not_exist_have_no_resource() -> None:
    mesh = Mesh(world())
    assert mesh.generate(proxy_a(), RDS, "x", "x.example.com:80", f"{B}:81") == {}


@pytest.mark.parametrize("mode", ["ALLOW_ANY", "REGISTRY_ONLY"])
def test_unknown_hosts(mode: str) -> None:
    made = _rds(Mesh(world(mesh=f"outboundTrafficPolicy: {{mode: {mode}}}")))
    last = made.virtual_hosts[-1]
    assert list(last.domains) == ["*"]
    if mode == "ALLOW_ANY":
        assert last.routes[0].route.cluster == "PassthroughCluster"
    else:
        assert last.routes[0].direct_response.status == 502


def test_hosts_beyond_the_registry_are_routed_on_port_80() -> None:
    made = _rds(Mesh(world(VIRTUAL_SERVICE)))
    host = _host(made, "outside.example.com:80")
    assert list(host.domains) == ["outside.example.com"]
    names = [domain for entry in made.virtual_hosts for domain in entry.domains]
    assert len(names) == len(set(names))


def test_match(everything: Any) -> None:
    match = everything[0].match
    assert everything[0].name == "matches.all"
    assert (match.path, match.case_sensitive.value) == ("/exact", False)
    headers = {header.name: header for header in match.headers}
    assert headers[":method"].string_match.exact == "GET"
    assert headers[":scheme"].string_match.exact == "http"
    assert headers[":authority"].string_match.prefix == "b"
    assert headers["x-c"].string_match.safe_regex.regex == "r.*"
    assert headers["x-d"].present_match and not headers["x-d"].invert_match
    assert headers["x-e"].invert_match and headers["x-e"].treat_missing_header_as_empty
    assert headers["x-f"].invert_match and headers["x-f"].present_match
    queries = {query.name: query for query in match.query_parameters}
    assert queries["q"].string_match.exact == "1"
    assert queries["r"].string_match.safe_regex.regex == "a|b"
    assert queries["t"].present_match


def test_matches_of_one_route_are_alternatives(everything: Any) -> None:
    assert everything[1].match.safe_regex.regex == "/re/.*"
    assert everything[0].route == everything[1].route


def test_weights_and_header_operations(everything: Any) -> None:
    first, second = everything[0].route.weighted_clusters.clusters
    assert (first.name, first.weight.value) == (f"outbound|80|v1|{B}", 80)
    assert (second.name, second.weight.value) == (f"outbound|80|v2|{B}", 20)
    added = {option.header.key: option.append_action for option in first.request_headers_to_add}
    assert added == {"x-set": 2, "x-add": 0}
    assert first.host_rewrite_literal == "other"
    assert list(first.request_headers_to_remove) == ["x-remove"]
    assert list(first.response_headers_to_remove) == ["y-remove"]
    assert [option.header.key for option in everything[0].request_headers_to_add] == ["x-route"]
    assert list(everything[0].response_headers_to_remove) == ["y-route"]


def test_single_destination_needs_no_weight() -> None:
    headers = {"request": {"set": {"host": "h", "x": "1"}}}
    made = _action(route=[{**TO_B, "headers": headers}])
    assert made.route.cluster == f"outbound|80||{B}"
    assert made.route.host_rewrite_literal == "h"
    assert [option.header.key for option in made.request_headers_to_add] == ["x"]


def test_timeout_and_retries(everything: Any) -> None:
    action = everything[0].route
    assert action.timeout.ToMilliseconds() == 2500
    policy = action.retry_policy
    assert policy.num_retries.value == 3
    assert policy.per_try_timeout.ToMilliseconds() == 500
    assert policy.retry_on == "5xx,reset,retriable-status-codes"
    assert list(policy.retriable_status_codes) == [503]
    assert policy.retry_priority.name == "envoy.retry_priorities.previous_priorities"
    assert policy.retry_back_off.base_interval.ToMilliseconds() == 10


def test_zero_attempts_switch_retries_off() -> None:
    assert not _action(retries={"attempts": 0}).route.HasField("retry_policy")
    assert _action().route.retry_policy.num_retries.value == 2


def test_fault(everything: Any) -> None:
    fault = fault_pb2.HTTPFault()
    assert everything[0].typed_per_filter_config[FAULT].Unpack(fault)
    assert fault.delay.fixed_delay.ToMilliseconds() == 100
    assert fault.delay.percentage.numerator == 125_000
    assert fault.abort.http_status == 418
    assert fault.abort.percentage.numerator == 100


def test_fault_without_percentage_is_for_everyone_and_zero_for_nobody() -> None:
    fault = fault_pb2.HTTPFault()
    made = _action(fault={"abort": {"grpcStatus": "UNAVAILABLE"}})
    assert made.typed_per_filter_config[FAULT].Unpack(fault)
    assert (fault.abort.grpc_status, fault.abort.percentage.numerator) == (14, 1_000_000)
    made = _action(fault={"abort": {"httpStatus": 500, "percentage": {"value": 0}}})
    assert made.typed_per_filter_config[FAULT].Unpack(fault)
    assert fault.abort.percentage.numerator == 0


def test_mirror(everything: Any) -> None:
    (mirror,) = everything[0].route.request_mirror_policies
    assert mirror.cluster == "outbound|80||c.other.svc.cluster.local"
    assert mirror.runtime_fraction.default_value.numerator == 500_000
    (only,) = everything[2].route.request_mirror_policies
    assert only.cluster == "outbound|80||a.demo.svc.cluster.local"
    assert only.runtime_fraction.default_value.numerator == 1_000_000


def test_cors(everything: Any) -> None:
    policy = cors_pb2.CorsPolicy()
    assert everything[0].typed_per_filter_config[CORS].Unpack(policy)
    assert [origin.exact for origin in policy.allow_origin_string_match] == ["http://a", ""]
    assert (policy.allow_methods, policy.allow_headers, policy.expose_headers) == ("GET,POST", "x-a,x-b", "x-c")
    assert (policy.max_age, policy.allow_credentials.value) == ("60", True)
    assert policy.forward_not_matching_preflights.value is False


def test_rewrite(everything: Any) -> None:
    assert everything[2].route.prefix_rewrite == "/new"
    assert everything[2].route.host_rewrite_literal == "new.host"
    assert not everything[2].route.HasField("retry_policy")
    assert everything[3].route.regex_rewrite.substitution == "/b/\\1"


def test_destination_outside_the_registry(everything: Any) -> None:
    action = everything[3].route
    assert action.cluster == "outbound|80||unknown.example.com"
    assert action.cluster_not_found_response_code == route_components_pb2.RouteAction.SERVICE_UNAVAILABLE


def test_redirect_and_direct_response(everything: Any) -> None:
    redirect = everything[4].redirect
    assert (redirect.path_redirect, redirect.host_redirect, redirect.scheme_redirect) == ("/to", "c", "https")
    assert redirect.port_redirect == 8443
    assert redirect.response_code == route_components_pb2.RedirectAction.TEMPORARY_REDIRECT
    direct = everything[5]
    assert (direct.direct_response.status, direct.direct_response.body.inline_string) == (503, "no")
    assert direct.response_headers_to_add[0].header.key == "x-direct"


def test_nothing_follows_a_route_that_takes_everything(everything: Any) -> None:
    assert everything[-1].name == "rest"
    assert len(everything) == 7


def test_no_default_route_is_made_up() -> None:
    (only,) = _routes({"match": [{"uri": {"prefix": "/x"}}], "route": [TO_B]})
    assert only.match.prefix == "/x"


@pytest.mark.parametrize(
    ("match", "count"),
    [
        ({"sourceLabels": {"app": "a"}}, 2),
        ({"sourceLabels": {"app": "z"}}, 1),
        ({"sourceNamespace": "demo"}, 2),
        ({"sourceNamespace": "other"}, 1),
        ({"gateways": ["gw"]}, 1),
        ({"gateways": ["mesh", "gw"]}, 2),
        ({"port": 80}, 2),
        ({"port": 81}, 1),
    ],
)
def test_matches_that_depend_on_the_source(match: Obj, count: int) -> None:
    routes = _routes({"match": [{**match, "uri": {"prefix": "/x"}}], "route": [TO_B]}, {"route": [TO_B]})
    assert len(routes) == count


def test_rules_for_gateways_alone_do_not_concern_sidecars() -> None:
    rule = config(
        "VirtualService", "b", {"hosts": ["b"], "gateways": ["gw"], "http": [{"directResponse": {"status": 200}}]}
    )
    (route,) = _host(_rds(Mesh(world(rule))), f"{B}:80").routes
    assert route.HasField("route")


def test_destination_port() -> None:
    to = {"host": "b", "port": {"number": 85}}
    assert _action(route=[{"destination": to}]).route.cluster == f"outbound|85||{B}"
    (made,) = _routes({"route": [TO_B]}, port=85)
    assert made.route.cluster == f"outbound|85||{B}"


def _hashing(consistent: Obj) -> Any:
    rule = config(
        "DestinationRule", "b", {"host": "b", "trafficPolicy": {"loadBalancer": {"consistentHash": consistent}}}
    )
    (plain,) = _host(_rds(Mesh(world(rule))), f"{B}:80").routes
    (ruled,) = _routes({"route": [TO_B]}, more=(rule,))
    assert plain.route.hash_policy == ruled.route.hash_policy
    (policy,) = plain.route.hash_policy
    return policy


def test_consistent_hash() -> None:
    assert _hashing({"httpHeaderName": "x-user"}).header.header_name == "x-user"
    cookie = _hashing({"httpCookie": {"name": "c", "path": "/p", "ttl": "60s"}}).cookie
    assert (cookie.name, cookie.path, cookie.ttl.ToSeconds()) == ("c", "/p", 60)
    assert _hashing({"httpQueryParameterName": "q"}).query_parameter.name == "q"
    assert _hashing({"useSourceIp": True}).connection_properties.source_ip


def test_delegated_short_names_belong_to_the_delegate() -> None:
    root = config(
        "VirtualService", "root", {"hosts": ["b"], "http": [{"delegate": {"name": "d", "namespace": "other"}}]}
    )
    inner = config("VirtualService", "d", {"http": [{"route": [{"destination": {"host": "c"}}]}]}, "other")
    (route,) = _host(_rds(Mesh(world(root, inner))), f"{B}:80").routes
    assert route.route.cluster == "outbound|80||c.other.svc.cluster.local"
