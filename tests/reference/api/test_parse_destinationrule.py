"""Parsing and checks of DestinationRule."""

from typing import Any

import pytest

from reference.api import DestinationRule, InvalidConfig, parse

Obj = dict[str, Any]


def _parse(**spec: Any) -> DestinationRule:
    model = parse(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "DestinationRule",
            "metadata": {"namespace": "demo", "name": "x"},
            "spec": {"host": "b", **spec},
        }
    )
    assert isinstance(model, DestinationRule)
    return model


def test_fields_arrive() -> None:
    model = _parse(
        trafficPolicy={
            "loadBalancer": {"consistentHash": {"httpCookie": {"name": "c", "ttl": "0s"}}},
            "outlierDetection": {"consecutive5xxErrors": 3},
            "connectionPool": {"http": {"http2MaxRequests": 4}},
        },
        subsets=[{"name": "v1", "labels": {"version": "v1"}}],
    )
    policy = model.traffic_policy
    assert policy is not None and policy.load_balancer is not None and policy.connection_pool is not None
    assert policy.load_balancer.consistent_hash is not None
    assert policy.load_balancer.consistent_hash.http_cookie is not None
    assert policy.load_balancer.consistent_hash.http_cookie.ttl == 0
    assert policy.outlier_detection is not None and policy.outlier_detection.consecutive_5xx_errors == 3
    assert policy.connection_pool.http is not None and policy.connection_pool.http.http2_max_requests == 4
    subset = model.subset("v1")
    assert subset is not None and subset.labels == {"version": "v1"}
    assert model.subset("v2") is None


BALANCER = "spec.trafficPolicy.loadBalancer"


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"host": ""}, "spec.host"),
        ({"subsets": [{"labels": {}}]}, "spec.subsets[0].name"),
        ({"subsets": [{"name": "a"}, {"name": "a"}]}, "spec.subsets[1].name"),
        ({"trafficPolicy": {"loadBalancer": {"simple": "FASTEST"}}}, f"{BALANCER}.simple"),
        (
            {"trafficPolicy": {"loadBalancer": {"simple": "RANDOM", "consistentHash": {"useSourceIp": True}}}},
            BALANCER,
        ),
        ({"trafficPolicy": {"loadBalancer": {"consistentHash": {}}}}, f"{BALANCER}.consistentHash"),
        (
            {"trafficPolicy": {"loadBalancer": {"simple": "RANDOM", "warmup": {"duration": "1s"}}}},
            BALANCER,
        ),
        (
            {"trafficPolicy": {"portLevelSettings": [{"loadBalancer": {"simple": "RANDOM"}}]}},
            "spec.trafficPolicy.portLevelSettings[0].port",
        ),
        ({"trafficPolicy": {"tls": {"mode": "MUTUAL"}}}, "spec.trafficPolicy.tls.clientCertificate"),
        (
            {"trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL", "privateKey": "/k"}}},
            "spec.trafficPolicy.tls",
        ),
        (
            {
                "trafficPolicy": {
                    "loadBalancer": {"consistentHash": {"useSourceIp": True, "maglev": {"tableSize": 100}}}
                }
            },
            f"{BALANCER}.consistentHash.maglev.tableSize",
        ),
        (
            {"trafficPolicy": {"outlierDetection": {"maxEjectionPercent": 101}}},
            "spec.trafficPolicy.outlierDetection.maxEjectionPercent",
        ),
        (
            {
                "trafficPolicy": {
                    "loadBalancer": {"localityLbSetting": {"distribute": [{"from": "a", "to": {"b": 50}}]}}
                }
            },
            f"{BALANCER}.localityLbSetting.distribute[0].to",
        ),
    ],
)
def test_refused(spec: Obj, path: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        _parse(**spec)
    assert path in [error.path for error in caught.value.errors]
