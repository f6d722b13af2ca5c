"""Listeners of both directions."""

import json
from typing import Any

from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2

from reference.controlplane.generate import LDS, Proxy
from reference.controlplane.generate.access_log import FORMAT
from tests.reference.generate.everything import TCP
from tests.reference.generate.mesh_state import Mesh, Obj, proxy_a, world

MANAGER = "envoy.filters.network.http_connection_manager"


def _listeners(*configs: Obj, mesh: str = "{}", proxy: Proxy | None = None) -> dict[str, Any]:
    made = Mesh(world(*configs, mesh=mesh)).generate(proxy or proxy_a(), LDS)
    return {name: listener_pb2.Listener.FromString(entry.body) for name, entry in made.items()}


def _unpack(network_filter: Any) -> Any:
    made = hcm_pb2.HttpConnectionManager() if network_filter.name == MANAGER else tcp_proxy_pb2.TcpProxy()
    assert network_filter.typed_config.Unpack(made)
    return made


def test_captured_connections_are_handed_over() -> None:
    listener = _listeners()["virtualOutbound"]
    assert listener.address.socket_address.port_value == 15001
    assert listener.use_original_dst.value
    assert _unpack(listener.filter_chains[-1].filters[0]).cluster == "PassthroughCluster"
    closed = _listeners(mesh="outboundTrafficPolicy: {mode: REGISTRY_ONLY}")["virtualOutbound"]
    assert _unpack(closed.filter_chains[-1].filters[0]).cluster == "BlackHoleCluster"


def test_http_ports_share_a_listener() -> None:
    listener = _listeners()["0.0.0.0_80"]
    assert not listener.bind_to_port.value and listener.HasField("bind_to_port")
    manager = _unpack(listener.filter_chains[0].filters[0])
    assert manager.rds.route_config_name == "80"
    assert [entry.name.rpartition(".")[2] for entry in manager.http_filters] == [
        "grpc_stats",
        "fault",
        "cors",
        "router",
    ]


def test_tcp_ports_have_one_per_address() -> None:
    found = _listeners()
    listener = found["10.96.0.3_9091"]
    assert not listener.listener_filters
    proxy = _unpack(listener.default_filter_chain.filters[0])
    assert proxy.cluster == "outbound|9091||b.demo.svc.cluster.local"
    assert "10.244.0.6_9090" in found


def test_undeclared_ports_are_inspected() -> None:
    listener = _listeners()["10.96.0.3_1234"]
    assert listener.continue_on_listener_filters_timeout
    http1, http2 = listener.filter_chains
    assert list(http2.filter_chain_match.application_protocols) == ["h2c"]
    assert _unpack(http1.filters[-1]).rds.route_config_name == "b.demo.svc.cluster.local:1234"
    assert _unpack(listener.default_filter_chain.filters[0]).cluster == "outbound|1234||b.demo.svc.cluster.local"


def test_tcp_and_tls_routes() -> None:
    found = _listeners(TCP)
    weighted = _unpack(found["10.96.0.4_9090"].default_filter_chain.filters[0]).weighted_clusters.clusters
    assert [(entry.name, entry.weight) for entry in weighted] == [
        ("outbound|9090||b.demo.svc.cluster.local", 25),
        ("outbound|9090||a.demo.svc.cluster.local", 75),
    ]
    listener = found["10.96.0.4_443"]
    assert [entry.name for entry in listener.listener_filters] == ["envoy.filters.listener.tls_inspector"]
    assert list(listener.filter_chains[0].filter_chain_match.server_names) == ["c.other.svc.cluster.local"]


def _inbound(port: int) -> dict[str, Any]:
    chains = _listeners()["virtualInbound"].filter_chains
    found = [chain for chain in chains if chain.filter_chain_match.destination_port.value == port]
    return {chain.name.rpartition(f"_{port}-")[2] or chain.name: chain for chain in found}


def test_declared_http_port_takes_mutual_tls_and_plaintext() -> None:
    chains = _inbound(8080)
    assert list(chains) == ["mtls", "plain", "tls"]
    assert chains["mtls"].transport_socket.name == "envoy.transport_sockets.tls"
    manager = _unpack(chains["mtls"].filters[0])
    assert manager.forward_client_cert_details == hcm_pb2.HttpConnectionManager.SANITIZE_SET
    assert manager.route_config.virtual_hosts[0].routes[0].route.cluster == "inbound|8080||"
    plain = _unpack(chains["plain"].filters[0])
    assert plain.forward_client_cert_details == hcm_pb2.HttpConnectionManager.SANITIZE


def test_undeclared_port_has_all_five_chains() -> None:
    assert list(_inbound(11234)) == ["mtls-http", "http", "mtls-tcp", "tcp", "tls"]
    assert "istio-h2" in _inbound(11234)["mtls-http"].filter_chain_match.application_protocols


def test_tcp_port() -> None:
    chains = _inbound(19091)
    assert list(chains) == ["mtls", "plain", "tls"]
    assert _unpack(chains["mtls"].filters[0]).cluster == "inbound|19091||"


def test_ports_that_no_service_names_pass_through() -> None:
    chains = _listeners()["virtualInbound"].filter_chains
    last = [chain for chain in chains if chain.name.startswith("virtualInbound-catchall")]
    assert [chain.name.rpartition("catchall-")[2] for chain in last] == ["mtls-http", "http", "mtls-tcp", "tcp", "tls"]
    assert _unpack(last[-1].filters[0]).cluster == "InboundPassthroughCluster"


def test_named_target_ports_come_from_the_pod_or_its_endpoints() -> None:
    inputs = world()
    raw = json.loads(json.dumps(inputs.objects["Service"]["demo", "a"]))
    raw["spec"]["ports"] = [{"name": "http", "port": 80, "targetPort": "web"}]
    objects = {**inputs.objects, "Service": {("demo", "a"): raw}}
    mesh = Mesh(type(inputs)(objects, "{}"))
    told = Proxy.from_id(
        proxy_a().id, {"LABELS": {"app": "a"}, "POD_PORTS": '[{"name": "web", "containerPort": 5000}]'}
    )
    for proxy, port in ((told, 5000), (proxy_a(), 8080)):
        listener = listener_pb2.Listener.FromString(mesh.generate(proxy, LDS)["virtualInbound"].body)
        assert port in [chain.filter_chain_match.destination_port.value for chain in listener.filter_chains]


def test_access_log_is_json_and_only_when_asked_for() -> None:
    for mesh, count in (("accessLogFile: /dev/stdout", 1), ("{}", 0)):
        listener = _listeners(mesh=mesh)["0.0.0.0_80"]
        assert len(_unpack(listener.filter_chains[0].filters[0]).access_log) == count
    assert {"route_name", "upstream_cluster", "response_flags", "request_id", "upstream_peer_uri_san"} <= set(FORMAT)
