"""The world takes a change in as a whole or not at all."""

import pytest

from reference.controlplane.push import world as module
from reference.controlplane.push.world import Stores, World


def test_a_failure_between_snapshot_and_endpoints_leaves_both_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    service = {
        "metadata": {"name": "a", "namespace": "ns"},
        "spec": {"clusterIP": "10.96.0.9", "ports": [{"name": "http", "port": 80}]},
    }
    world = World(Stores({"Service": {("ns", "a"): service}}, lambda: ""))
    before = world.snapshot
    changed = [("", "Service", "ns", "a"), ("", "Pod", "ns", "p")]
    with monkeypatch.context() as patched:
        patched.setattr(module, "build_endpoint_table", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            world.advance(changed, 2)
    assert world.snapshot is before and world.sequence == 0
    world.advance(changed, 2)
    assert world.snapshot is not before and world.sequence == 2
