"""JSON, merge and strategic merge patches."""

from typing import Any

import pytest

from meshtest.embedded.apiserver import patches
from meshtest.embedded.apiserver.errors import StatusError
from meshtest.embedded.apiserver.listtypes import shape_of

POD = shape_of("v1", "Pod")
SERVICE = shape_of("v1", "Service")


@pytest.mark.parametrize(
    ("target", "patch", "wanted"),
    [
        ({"a": 1}, {"a": None}, {}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({}, {"a": {"b": None}}, {"a": {}}),
    ],
)
def test_merge(target: Any, patch: Any, wanted: Any) -> None:
    assert patches.merge(target, patch) == wanted


def test_json_patch_leaves_its_target_alone() -> None:
    target = {"a": [1]}
    assert patches.json_patch(target, [{"op": "add", "path": "/a/-", "value": 2}]) == {"a": [1, 2]}
    assert target == {"a": [1]}


@pytest.mark.parametrize(
    "patch",
    [
        [{"op": "remove", "path": "/x"}],
        [{"op": "test", "path": "/a", "value": 2}],
        [{"op": "frobnicate", "path": "/a"}],
        [{"op": "add", "path": "a", "value": 1}],
        {"op": "add"},
        ["x"],
    ],
)
def test_json_patch_that_does_not_apply(patch: Any) -> None:
    with pytest.raises(StatusError) as caught:
        patches.json_patch({"a": 1}, patch)
    assert caught.value.code in (400, 422)


def _containers(*containers: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"containers": list(containers)}}


def test_strategic_lists_merge_by_key() -> None:
    target = _containers({"name": "a", "image": "1"}, {"name": "b", "image": "2"})
    patch = _containers({"name": "b", "image": "3"}, {"name": "c", "image": "4"})
    assert patches.strategic(target, patch, POD) == _containers(
        {"name": "a", "image": "1"}, {"name": "b", "image": "3"}, {"name": "c", "image": "4"}
    )


def test_strategic_delete_and_replace() -> None:
    target = _containers({"name": "a"}, {"name": "b"})
    assert patches.strategic(target, _containers({"name": "a", "$patch": "delete"}), POD) == _containers({"name": "b"})
    replaced = patches.strategic(target, _containers({"$patch": "replace"}, {"name": "z"}), POD)
    assert replaced == _containers({"name": "z"})


def test_strategic_order_and_retained_keys() -> None:
    target = _containers({"name": "a"}, {"name": "b"})
    patch: dict[str, Any] = {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}
    assert patches.strategic(target, patch, POD) == _containers({"name": "b"}, {"name": "a"})
    volumes = {"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}
    patch = {"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "secret"], "secret": {"secretName": "s"}}]}}
    assert patches.strategic(volumes, patch, POD) == {
        "spec": {"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}
    }


def test_strategic_ports_of_two_protocols() -> None:
    target = {"spec": {"ports": [{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}}
    patch = {"spec": {"ports": [{"port": 53, "protocol": "UDP", "name": "dns"}]}}
    merged = patches.strategic(target, patch, SERVICE)
    assert merged["spec"]["ports"][1] == {"port": 53, "protocol": "UDP", "name": "dns"}
    assert "name" not in merged["spec"]["ports"][0]


def test_strategic_primitive_list() -> None:
    target = {"metadata": {"finalizers": ["a", "b"]}}
    patch: dict[str, Any] = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}}
    assert patches.strategic(target, patch, POD) == {"metadata": {"finalizers": ["b", "c"]}}
