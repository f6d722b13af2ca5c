"""Clusters and endpoints."""

from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2

from reference.controlplane.generate import CDS, EDS
from tests.reference.generate.everything import DESTINATION_RULE
from tests.reference.generate.mesh_state import Mesh, Obj, config, proxy_a, world

Cluster = cluster_pb2.Cluster
B = "b.demo.svc.cluster.local"
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def _clusters(*configs: Obj, mesh: str = "{}", namespace: str = "demo") -> dict[str, Any]:
    made = Mesh(world(*configs, mesh=mesh)).generate(proxy_a(namespace), CDS)
    return {name: Cluster.FromString(entry.body) for name, entry in made.items()}


def _protocol(cluster: Any) -> str:
    if OPTIONS not in cluster.typed_extension_protocol_options:
        return ""
    options = http_protocol_options_pb2.HttpProtocolOptions()
    assert cluster.typed_extension_protocol_options[OPTIONS].Unpack(options)
    if options.HasField("use_downstream_protocol_config"):
        return "downstream"
    return str(options.explicit_http_config.WhichOneof("protocol_config"))


def _tls(socket: Any) -> Any:
    context = tls_pb2.UpstreamTlsContext()
    assert socket.typed_config.Unpack(context)
    return context


def test_endpoints_that_take_mutual_tls_get_it() -> None:
    first, second = _clusters()[f"outbound|80||{B}"].transport_socket_matches
    assert first.match["tlsMode"] == "istio"
    assert second.name == "tlsMode-disabled" and not second.match.fields
    context = _tls(first.transport_socket)
    assert context.sni == f"outbound_.80_._.{B}"
    common = context.common_tls_context
    assert list(common.alpn_protocols) == ["istio-http/1.1", "istio", "http/1.1"]
    assert common.tls_certificate_sds_secret_configs[0].name == "default"
    combined = common.combined_validation_context
    assert combined.validation_context_sds_secret_config.name == "ROOTCA"
    (san,) = combined.default_validation_context.match_typed_subject_alt_names
    assert san.matcher.exact == "spiffe://cluster.local/ns/demo/sa/b"


def test_without_auto_mtls_there_is_none() -> None:
    assert not _clusters(mesh="enableAutoMtls: false")[f"outbound|80||{B}"].transport_socket_matches


def test_protocols() -> None:
    found = _clusters()
    assert _protocol(found[f"outbound|80||{B}"]) == "http_protocol_options"
    assert _protocol(found[f"outbound|85||{B}"]) == "http2_protocol_options"
    assert _protocol(found[f"outbound|7070||{B}"]) == "http2_protocol_options"
    assert _protocol(found[f"outbound|1234||{B}"]) == "downstream"
    assert _protocol(found[f"outbound|9090||{B}"]) == ""
    assert _protocol(found["inbound|8080||"]) == "downstream"
    assert _protocol(found["inbound|8085||"]) == "http2_protocol_options"
    assert _protocol(found["inbound|19090||"]) == ""


def test_headless_goes_where_the_client_meant() -> None:
    cluster = _clusters()["outbound|9090||h.demo.svc.cluster.local"]
    assert cluster.type == Cluster.ORIGINAL_DST
    assert cluster.lb_policy == Cluster.CLUSTER_PROVIDED
    assert _tls(cluster.transport_socket).sni == "outbound_.9090_._.h.demo.svc.cluster.local"


def test_inbound_leaves_from_an_address_of_its_own() -> None:
    found = _clusters()
    for name in ("inbound|8080||", "InboundPassthroughCluster"):
        assert found[name].upstream_bind_config.source_address.address == "127.0.0.6"
    assert not [name for name in _clusters(namespace="other") if name.startswith("inbound|")]


def test_policies_of_a_rule() -> None:
    cluster = _clusters(DESTINATION_RULE)[f"outbound|80||{B}"]
    assert cluster.lb_policy == Cluster.RING_HASH
    limits = cluster.circuit_breakers.thresholds[0]
    assert (limits.max_connections.value, limits.max_pending_requests.value) == (10, 5)
    assert (limits.max_requests.value, limits.max_retries.value) == (7, 2)
    assert cluster.connect_timeout.ToSeconds() == 1
    outlier = cluster.outlier_detection
    assert (outlier.consecutive_5xx.value, outlier.consecutive_gateway_failure.value) == (3, 2)
    assert (outlier.max_ejection_percent.value, outlier.interval.ToSeconds()) == (50, 1)
    assert cluster.common_lb_config.healthy_panic_threshold.value == 20


def test_subsets_override_field_by_field() -> None:
    found = _clusters(DESTINATION_RULE)
    v1, v2, v3, v5, v6, v7 = (found[f"outbound|80|v{number}|{B}"] for number in (1, 2, 3, 5, 6, 7))
    assert v1.lb_policy == Cluster.RING_HASH and v1.outlier_detection.consecutive_5xx.value == 3
    context = _tls(v2.transport_socket)
    assert context.sni == f"outbound_.80_.v2_.{B}"
    assert v3.lb_policy == Cluster.LEAST_REQUEST and not v3.transport_socket_matches
    assert found[f"outbound|85|v3|{B}"].lb_policy == Cluster.MAGLEV
    assert v5.lb_policy == Cluster.ROUND_ROBIN
    assert v5.round_robin_lb_config.slow_start_config.slow_start_window.ToSeconds() == 10
    assert _tls(v5.transport_socket).sni == "x.example.com"
    assert v6.type == Cluster.ORIGINAL_DST
    assert v7.lb_policy == Cluster.RANDOM


def test_default_is_least_request() -> None:
    assert _clusters()[f"outbound|80||{B}"].lb_policy == Cluster.LEAST_REQUEST


def test_port_level_policy_replaces_the_whole() -> None:
    rule = config(
        "DestinationRule",
        "b",
        {
            "host": "b",
            "trafficPolicy": {
                "outlierDetection": {"consecutive5xxErrors": 1},
                "portLevelSettings": [{"port": {"number": 80}, "loadBalancer": {"simple": "RANDOM"}}],
            },
        },
    )
    found = _clusters(rule)
    assert found[f"outbound|80||{B}"].lb_policy == Cluster.RANDOM
    assert not found[f"outbound|80||{B}"].HasField("outlier_detection")
    assert found[f"outbound|85||{B}"].outlier_detection.consecutive_5xx.value == 1


def test_rule_of_the_client_beats_the_services() -> None:
    def rule(namespace: str, simple: str) -> Obj:
        policy = {"loadBalancer": {"simple": simple}}
        return config("DestinationRule", namespace, {"host": B, "trafficPolicy": policy}, namespace)

    rules = (rule("demo", "RANDOM"), rule("other", "ROUND_ROBIN"), rule("istio-system", "LEAST_REQUEST"))
    assert _clusters(*rules, namespace="demo")[f"outbound|80||{B}"].lb_policy == Cluster.RANDOM
    assert _clusters(*rules, namespace="other")[f"outbound|80||{B}"].lb_policy == Cluster.ROUND_ROBIN
    assert _clusters(*rules, namespace="third")[f"outbound|80||{B}"].lb_policy == Cluster.RANDOM


def test_most_specific_rule_wins() -> None:
    wild = config(
        "DestinationRule",
        "wild",
        {"host": "*.demo.svc.cluster.local", "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}},
    )
    own = config("DestinationRule", "own", {"host": "b", "trafficPolicy": {"loadBalancer": {"simple": "ROUND_ROBIN"}}})
    found = _clusters(wild, own)
    assert found[f"outbound|80||{B}"].lb_policy == Cluster.ROUND_ROBIN
    assert found["outbound|80||a.demo.svc.cluster.local"].lb_policy == Cluster.RANDOM


def _endpoints(name: str, *configs: Obj) -> list[Any]:
    made = Mesh(world(*configs)).generate(proxy_a(), EDS, name)
    assignment = endpoint_pb2.ClusterLoadAssignment.FromString(made[name].body)
    return [entry for group in assignment.endpoints for entry in group.lb_endpoints]


def _addresses(entries: list[Any]) -> list[tuple[str, int]]:
    sockets = [entry.endpoint.address.socket_address for entry in entries]
    return [(socket.address, socket.port_value) for socket in sockets]


def test_ready_endpoints_only() -> None:
    entries = _endpoints(f"outbound|80||{B}")
    assert _addresses(entries) == [("10.244.0.3", 8080), ("10.244.0.4", 8080)]
    assert entries[0].metadata.filter_metadata["envoy.transport_socket_match"]["tlsMode"] == "istio"


def test_workload_without_sidecar_gets_plaintext() -> None:
    (entry,) = _endpoints("outbound|80||plain.demo.svc.cluster.local")
    assert "envoy.transport_socket_match" not in entry.metadata.filter_metadata


def test_subset_holds_its_labels_alone() -> None:
    assert _addresses(_endpoints(f"outbound|80|v1|{B}", DESTINATION_RULE)) == [("10.244.0.3", 8080)]
    assert _endpoints(f"outbound|80|v3|{B}", DESTINATION_RULE) == []


def test_unknown_names_have_no_resource() -> None:
    names = ("x", "outbound|81||" + B, f"outbound|80|nope|{B}", "outbound|80||h.demo.svc.cluster.local")
    assert Mesh(world()).generate(proxy_a(), EDS, *names) == {}
