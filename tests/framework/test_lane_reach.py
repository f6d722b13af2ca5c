"""Which objects would be felt outside of their lane."""

from typing import Any

import pytest

from meshtest.framework.lanes import Lane, reach_outside

LANE = Lane("w0")


def virtual_service(spec: dict[str, Any], namespace: str = "w0-apps") -> dict[str, Any]:
    return {"kind": "VirtualService", "metadata": {"name": "vs", "namespace": namespace}, "spec": spec}


def test_namespaces_carry_the_lane() -> None:
    assert LANE.namespace("apps") == "w0-apps"
    assert LANE.owns("w0-apps")
    assert not LANE.owns("w01-apps")
    assert not LANE.owns("w1-apps")


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"hosts": ["b"]}, id="short host"),
        pytest.param({"hosts": ["b.w0-apps.svc.cluster.local"]}, id="own host"),
        pytest.param({"hosts": ["b.w0-other"]}, id="another namespace of the lane"),
        pytest.param({"hosts": ["b.w0-apps.example.com"]}, id="own suffix"),
        pytest.param({"hosts": ["example.com"], "exportTo": ["."]}, id="own namespace only"),
        pytest.param({"hosts": ["example.com"], "exportTo": ["w0-other"]}, id="exported within the lane"),
    ],
)
def test_stays_inside(spec: dict[str, Any]) -> None:
    assert reach_outside([virtual_service(spec)], LANE, "istio-system") == []


@pytest.mark.parametrize(
    ("obj", "why"),
    [
        (virtual_service({"hosts": ["b"], "exportTo": ["*"]}), "exported to '*'"),
        (virtual_service({"hosts": ["b"], "exportTo": ["w1-apps"]}), "exported to 'w1-apps'"),
        (virtual_service({"hosts": ["*"]}), "exportTo is unset"),
        (virtual_service({"hosts": ["example.com"]}), "speaks for example.com to everyone"),
        (virtual_service({"hosts": ["b.w1-apps.svc.cluster.local"]}), "speaks for b.w1-apps"),
        (virtual_service({"hosts": ["b"]}, "istio-system"), "root namespace istio-system"),
        (virtual_service({"hosts": ["b"]}, "w1-apps"), "not of lane 'w0'"),
        (
            {"kind": "DestinationRule", "metadata": {"name": "d", "namespace": "w0-a"}, "spec": {"host": "*.com"}},
            "speaks",
        ),
        ({"kind": "ClusterRole", "metadata": {"name": "r"}}, "is of the whole cluster"),
    ],
)
def test_reaches_outside(obj: dict[str, Any], why: str) -> None:
    (reason,) = reach_outside([obj], LANE, "istio-system")
    assert why in reason
    assert reason.startswith(f"{obj['kind']} {obj['metadata']['name']}: ")


def test_other_kinds_in_the_lane_are_free() -> None:
    service = {"kind": "Service", "metadata": {"name": "s", "namespace": "w0-apps"}, "spec": {}}
    assert reach_outside([service], LANE, "istio-system") == []
