"""Server-side apply: who owns what, conflicts, and what goes when it is applied no longer."""

from typing import Any

import pytest

from meshtest.embedded.apiserver import managed
from meshtest.embedded.apiserver.apply import merge_applied
from meshtest.embedded.apiserver.errors import StatusError
from meshtest.embedded.apiserver.listtypes import shape_of

Obj = dict[str, Any]
SHAPE = shape_of("apps/v1", "Deployment")


def _config(**spec: Any) -> Obj:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}


def _containers(*containers: Obj) -> Obj:
    return {"template": {"spec": {"containers": list(containers)}}}


def _apply(live: Obj, config: Obj, manager: str = "me", force: bool = False) -> Obj:
    return merge_applied(live, config, SHAPE, manager, "apps/v1", "", force)


def _updated(live: Obj, manager: str, **spec: Any) -> Obj:
    new = {**live, "spec": {**live["spec"], **spec}, "metadata": dict(live["metadata"])}
    managed.on_write(new, live, manager, "apps/v1", "")
    return new


def _managers(obj: Obj) -> dict[str, Obj]:
    return {entry["manager"]: entry["fieldsV1"] for entry in obj["metadata"]["managedFields"]}


def _created(**spec: Any) -> Obj:
    start = _config()
    start["metadata"]["managedFields"] = [managed.entry("me", "Apply", "apps/v1", {}, "")]
    return _apply(start, _config(**spec))


def test_applied_fields_are_owned() -> None:
    assert _managers(_created(replicas=1)) == {"me": {"f:spec": {"f:replicas": {}}}}


def test_other_manager_conflicts_unless_forced() -> None:
    live = _updated(_created(replicas=1), "scaler", replicas=5)
    with pytest.raises(StatusError) as caught:
        _apply(live, _config(replicas=2))
    assert caught.value.code == 409
    assert caught.value.message == 'Apply failed with 1 conflict: conflict with "scaler" using apps/v1: .spec.replicas'
    forced = _apply(live, _config(replicas=2), force=True)
    assert forced["spec"]["replicas"] == 2
    assert list(_managers(forced)) == ["me"]


def test_same_value_is_shared() -> None:
    shared = _apply(_created(replicas=1), _config(replicas=1), manager="other")
    assert list(_managers(shared)) == ["other", "me"]


def test_field_no_longer_applied_goes_unless_shared() -> None:
    live = _created(replicas=1, paused=True)
    assert _apply(live, _config(replicas=1))["spec"] == {"replicas": 1}
    shared = _apply(live, _config(paused=True), manager="other")
    assert _apply(shared, _config(replicas=1))["spec"] == {"replicas": 1, "paused": True}


def test_list_items_by_key() -> None:
    live = _created(**_containers({"name": "a", "image": "1"}, {"name": "b", "image": "2"}))
    merged = _apply(live, _config(**_containers({"name": "b", "image": "3"})))
    assert merged["spec"] == _containers({"name": "b", "image": "3"})
    merged = _apply(live, _config(**_containers({"name": "c", "image": "9"})), manager="injector")
    names = [each["name"] for each in merged["spec"]["template"]["spec"]["containers"]]
    assert names == ["a", "b", "c"]


def test_conflict_path_names_the_item() -> None:
    live = _created(**_containers({"name": "a", "image": "1"}))
    with pytest.raises(StatusError) as caught:
        _apply(live, _config(**_containers({"name": "a", "image": "2"})), manager="other")
    assert '.spec.template.spec.containers[name="a"].image' in caught.value.message


def test_objects_from_before_the_first_apply() -> None:
    live = _config(replicas=4)
    with pytest.raises(StatusError) as caught:
        _apply(live, _config(replicas=2))
    assert 'conflict with "before-first-apply"' in caught.value.message


def test_updates_move_ownership() -> None:
    live = _updated(_created(replicas=1, paused=True), "editor", replicas=7)
    assert _managers(live) == {"me": {"f:spec": {"f:paused": {}}}, "editor": {"f:spec": {"f:replicas": {}}}}
