"""One revision for all writes; history answers watches or says that it forgot."""

import pytest

from meshtest.embedded.apiserver import store as stores
from meshtest.embedded.apiserver.store import Event, Expired, Store


def _obj(name: str, value: str = "") -> dict[str, object]:
    return {"metadata": {"name": name, "namespace": "ns"}, "data": value}


def test_every_write_has_its_own_revision() -> None:
    store = Store()
    first = store.collection("a").put(_obj("x"))
    second = store.collection("b").put(_obj("x"))
    assert second.revision == first.revision + 1 == store.revision
    assert second.obj["metadata"]["resourceVersion"] == str(second.revision)


def test_events_carry_the_state_before() -> None:
    collection = Store().collection("a")
    seen: list[Event] = []
    collection.listen("me", seen.append)
    collection.put(_obj("x", "1"))
    collection.put(_obj("x", "2"))
    collection.remove("ns", "x")
    collection.unlisten("me")
    collection.put(_obj("y"))
    assert [(e.type, e.item.obj["data"], e.previous and e.previous.obj["data"]) for e in seen] == [
        ("ADDED", "1", None),
        ("MODIFIED", "2", "1"),
        ("DELETED", "2", "2"),
    ]


def test_history_since_a_revision() -> None:
    collection = Store().collection("a")
    start = collection.put(_obj("x")).revision
    collection.put(_obj("y"))
    collection.put(_obj("z"))
    assert [event.item.name for event in collection.since(start)] == ["y", "z"]
    assert collection.since(start + 2) == []


def test_forgotten_history_is_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "HISTORY", 2)
    collection = Store().collection("a")
    first = collection.put(_obj("x")).revision
    for name in "yzw":
        collection.put(_obj(name))
    with pytest.raises(Expired):
        collection.since(first)
    assert len(collection.since(first + 1)) == 2


def test_items_are_sorted_and_copies_are_free() -> None:
    collection = Store().collection("a")
    for name in "cab":
        collection.put(_obj(name))
    assert [item.name for item in collection.items()] == ["a", "b", "c"]
    item = collection.items("ns")[0]
    item.copy()["data"] = "changed"
    assert item.obj["data"] == ""
