"""What `kubectl get` prints."""

from __future__ import annotations

from typing import Any

import pytest

from meshtest.embedded.apiserver.tables import builtin, custom, text

Obj = dict[str, Any]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (600, "10m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 60, "3h1m"),
        (47 * 3600, "47h"),
        (49 * 3600, "2d1h"),
        (9 * 86400, "9d"),
        (800 * 86400, "2y"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert text.duration(seconds) == shown


def _pod(status: Obj, **metadata: Any) -> Obj:
    init = [{"name": "init"}, {"name": "proxy", "restartPolicy": "Always"}]
    return {
        "metadata": {"name": "p", **metadata},
        "spec": {"containers": [{"name": "c"}], "initContainers": init},
        "status": status,
    }


DONE: Obj = {"name": "init", "state": {"terminated": {"exitCode": 0}}}
SIDECAR: Obj = {"name": "proxy", "started": True, "ready": True, "state": {"running": {}}}


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ({"phase": "Pending"}, ("0/2", "Pending", 0)),
        (
            {"phase": "Pending", "initContainerStatuses": [{"name": "init", "state": {"running": {}}}]},
            ("0/2", "Init:0/2", 0),
        ),
        (
            {
                "phase": "Running",
                "initContainerStatuses": [DONE, SIDECAR],
                "containerStatuses": [{"name": "c", "ready": True, "state": {"running": {}}}],
            },
            ("2/2", "Running", 0),
        ),
        (
            {
                "phase": "Running",
                "initContainerStatuses": [DONE, SIDECAR],
                "containerStatuses": [
                    {"name": "c", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
                ],
            },
            ("1/2", "CrashLoopBackOff", 3),
        ),
    ],
)
def test_pod_status(status: Obj, shown: tuple[str, str, int]) -> None:
    assert builtin.pod_status(_pod(status))[:3] == shown


def test_pod_being_deleted() -> None:
    assert builtin.pod_status(_pod({"phase": "Running"}, deletionTimestamp="x"))[1] == "Terminating"


def test_json_paths_of_custom_columns() -> None:
    conditions = [{"type": "A", "status": "False"}, {"type": "Ready", "status": "True"}]
    obj = {"metadata": {"annotations": {"a.b/c": "x"}}, "spec": {"l": [1, 2]}, "status": {"conditions": conditions}}
    assert custom.evaluate('.status.conditions[?(@.type=="Ready")].status', obj) == ["True"]
    assert custom.evaluate(".spec.l[1]", obj) == [2]
    assert custom.evaluate(".spec.l[*]", obj) == [1, 2]
    assert custom.evaluate("spec.l", obj) == [[1, 2]]
    assert custom.evaluate(".metadata.annotations['a.b/c']", obj) == ["x"]
    assert custom.evaluate(".metadata.annotations.a\\.b/c", obj) == ["x"]
    assert custom.evaluate(".nothing.here", obj) == []
