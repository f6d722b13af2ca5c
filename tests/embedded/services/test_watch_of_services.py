"""Which Services a change of an EndpointSlice concerns."""

from typing import Any, cast

from kubeclient import Client
from kubeclient.watch import Event
from meshtest.embedded.network.services_watch import ServiceWatch

Obj = dict[str, Any]


def slice_(name: str, service: str | None) -> Obj:
    labels = {"kubernetes.io/service-name": service} if service else {}
    return {"metadata": {"namespace": "d", "name": name, "labels": labels}}


def test_slices_follow_their_label() -> None:
    watch = ServiceWatch(cast(Client, None))
    told: list[tuple[str, str]] = []
    watch.subscribe(told.append)
    first, second, moved = slice_("a-1", "a"), slice_("a-2", "a"), slice_("a-2", "b")
    watch.on_slice(Event("ADDED", first))
    watch.on_slice(Event("ADDED", second))
    assert watch.slices(("d", "a")) == [first, second]
    told.clear()
    watch.on_slice(Event("MODIFIED", moved, second))
    assert sorted(told) == [("d", "a"), ("d", "b")]
    assert watch.slices(("d", "a")) == [first]
    watch.on_slice(Event("DELETED", moved, moved))
    watch.on_slice(Event("DELETED", first, first))
    assert watch.slices(("d", "a")) == watch.slices(("d", "b")) == []
    told.clear()
    watch.on_slice(Event("ADDED", slice_("alone", None)))
    assert told == []
