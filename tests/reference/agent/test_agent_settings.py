"""Environment in, settings, bootstrap and verdicts out."""

import datetime
import json
from typing import Any

import pytest
from cryptography import x509
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf import json_format

from reference.agent.bootstrap import bootstrap
from reference.agent.certificates import Workload, make_request, renew_in
from reference.agent.envoy import active_connections, command
from reference.agent.readiness import judge, parse
from reference.agent.sds import secrets
from reference.agent.settings import BadSettings, HostPort, from_environment, seconds
from reference.controlplane.ca.signing import Signer, make_root

KNOWN = (router_pb2, http_connection_manager_pb2, http_protocol_options_pb2)
"""Imported so that protobuf finds the messages that the bootstrap embeds."""
NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
ENV = {
    "POD_NAME": "a-1",
    "POD_NAMESPACE": "ns",
    "INSTANCE_IP": "10.0.0.1",
    "SERVICE_ACCOUNT": "sa",
    "CA_ADDR": "istiod.istio-system.svc.cluster.local.:15012",
    "CONTROL_PLANE_NAME": "istiod.istio-system.svc",
    "ISTIO_METAJSON_LABELS": '{"app":"a"}',
    "ISTIO_META_CLUSTER_ID": "c1",
    "ISTIO_META_APP_CONTAINERS": "app",
    "PROXY_CONFIG": '{"concurrency":2,"terminationDrainDuration":"500ms"}',
}


def test_the_environment_becomes_settings() -> None:
    settings = from_environment(ENV)
    assert settings.node_id == "sidecar~10.0.0.1~a-1.ns~ns.svc.cluster.local"
    assert settings.node_cluster == "a.ns"
    assert settings.discovery == HostPort("istiod.istio-system.svc.cluster.local.", 15013)
    assert (settings.concurrency, settings.drain_seconds) == (2, 0.5)
    assert settings.extra_metadata == {"APP_CONTAINERS": "app"}


@pytest.mark.parametrize("name", ["POD_NAME", "POD_NAMESPACE", "INSTANCE_IP", "CA_ADDR"])
def test_a_missing_variable_is_named(name: str) -> None:
    with pytest.raises(BadSettings, match=name):
        from_environment({key: value for key, value in ENV.items() if key != name})


@pytest.mark.parametrize(("text", "expected"), [("5s", 5), ("500ms", 0.5), ("1m30s", 90), ("1h", 3600)])
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == expected


def test_the_bootstrap_is_what_envoy_s_schema_allows() -> None:
    made = bootstrap(from_environment(ENV), "/tmp/sds")
    message = json_format.ParseDict(made, bootstrap_pb2.Bootstrap())
    assert message.admin.address.socket_address.address == "127.0.0.1"
    assert message.node.metadata["SERVICE_ACCOUNT"] == "sa"
    assert message.node.metadata["CLUSTER_ID"] == "c1"
    assert [cluster.name for cluster in message.static_resources.clusters][:2] == ["xds-grpc", "sds-grpc"]


def test_the_control_plane_must_prove_its_name_and_the_proxy_its_identity() -> None:
    made = bootstrap(from_environment(ENV))
    message = json_format.ParseDict(made, bootstrap_pb2.Bootstrap())
    tls = tls_pb2.UpstreamTlsContext()
    message.static_resources.clusters[0].transport_socket.typed_config.Unpack(tls)
    common = tls.common_tls_context
    assert [each.name for each in common.tls_certificate_sds_secret_configs] == ["default"]
    names = common.combined_validation_context.default_validation_context.match_typed_subject_alt_names
    assert [each.matcher.exact for each in names] == ["istiod.istio-system.svc"]


READY = {
    "cluster_manager.cds.update_success": 1,
    "listener_manager.lds.update_success": 1,
    "listener_manager.workers_started": 1,
}


@pytest.mark.parametrize(
    ("changes", "ready", "why"),
    [
        ({}, True, "ready"),
        ({"cluster_manager.cds.update_success": 0}, False, "no clusters received yet"),
        ({"listener_manager.lds.update_success": 0}, False, "no listeners received yet"),
        (
            {"listener_manager.lds.update_success": 0, "listener_manager.lds.update_rejected": 2},
            False,
            "listeners rejected 2 times",
        ),
        ({"cluster_manager.warming_clusters": 1}, False, "1 clusters warming"),
        ({"listener_manager.total_listeners_warming": 3}, False, "3 listeners warming"),
        ({"listener_manager.workers_started": 0}, False, "workers not started"),
    ],
)
def test_readiness(changes: dict[str, int], ready: bool, why: str) -> None:
    verdict = judge({**READY, **changes})
    assert (verdict.ready, verdict.why) == (ready, why)


def test_statistics_are_read_from_envoy_s_text() -> None:
    assert parse("a.b: 3\nc: text\nd: 0\n") == {"a.b": 3, "d": 0}
    assert active_connections("http.inbound.downstream_cx_active: 2\nx.downstream_cx_total: 9\n") == 2


def test_access_logs_are_flushed_soon_and_the_exit_is_not_hot() -> None:
    from pathlib import Path

    words = command(Path("/envoy"), Path("/c.json"), from_environment(ENV))
    assert words[0] == "/envoy" and "--disable-hot-restart" in words
    assert words[words.index("--concurrency") + 1] == "2"


def signed() -> Workload:
    signer = Signer(make_root("cluster.local", NOW))
    request = make_request()
    chain = signer.workload(request.csr, "spiffe://cluster.local/ns/a/sa/b", None, NOW)
    return Workload(chain, request.key, signer.root_pem)


def test_a_certificate_is_renewed_at_half_of_its_life() -> None:
    workload = signed()
    leaf = x509.load_pem_x509_certificate(workload.chain)
    life = (leaf.not_valid_after_utc - leaf.not_valid_before_utc).total_seconds()
    skew = (NOW - leaf.not_valid_before_utc).total_seconds()
    assert renew_in(workload.chain, NOW, 0.0) == pytest.approx(life / 2 - skew)
    assert renew_in(workload.chain, NOW, 1.0) - renew_in(workload.chain, NOW, -1.0) == pytest.approx(life * 0.02)
    assert renew_in(workload.chain, NOW + datetime.timedelta(days=2), 0.0) == 0.0


def test_secrets_change_their_version_with_their_content() -> None:
    first, second = secrets(signed()), secrets(signed())
    assert set(first) == {"default", "ROOTCA"}
    assert first["default"].version != second["default"].version


def test_a_request_names_nobody() -> None:
    csr: Any = x509.load_pem_x509_csr(make_request().csr)
    assert list(csr.subject) == [] and list(csr.extensions) == []


def test_malformed_json_is_refused_by_name() -> None:
    with pytest.raises(BadSettings, match="PROXY_CONFIG"):
        from_environment({**ENV, "PROXY_CONFIG": "{"})
    assert json.loads(ENV["PROXY_CONFIG"])
