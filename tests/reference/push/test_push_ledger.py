"""When an object counts as seen, and which change is its last."""

from typing import Any

import pytest

from reference.controlplane.push.ledger import Ledger, ObjectRef, Watched

KIND = ("networking.istio.io", "VirtualService")


def ledger(version: int, **objects: str) -> Ledger:
    """A ledger whose watch has come to `version`; objects are name=uid in namespace ns."""
    store: dict[tuple[str, str], dict[str, Any]] = {("ns", n): {"metadata": {"uid": u}} for n, u in objects.items()}
    made = Ledger()
    made.watch(*KIND, Watched(lambda ns, name: store.get((ns, name)), lambda: version))
    return made


def ref(**changes: Any) -> ObjectRef:
    return ObjectRef(*KIND, "ns", "a", **changes)


@pytest.mark.parametrize(
    ("version", "objects", "asked", "expected"),
    [
        (10, {"a": "u"}, ref(uid="u", resource_version=10), True),
        (11, {"a": "u"}, ref(uid="u", resource_version=10), True),
        (9, {"a": "u"}, ref(uid="u", resource_version=10), False),
        (11, {}, ref(uid="u", resource_version=10), True),
        (9, {"a": "u"}, ref(uid="u"), True),
        (9, {"a": "other"}, ref(uid="u"), False),
        (9, {}, ref(uid="u"), False),
        (9, {}, ref(uid="u", absent=True), True),
        (9, {"a": "u"}, ref(uid="u", absent=True), False),
        (9, {"a": "anew"}, ref(uid="u", absent=True), True),
        (9, {}, ref(uid="u", resource_version=10, absent=True), False),
        (10, {}, ref(uid="u", resource_version=10, absent=True), True),
    ],
    ids=[
        "that version",
        "a later one",
        "an earlier one",
        "passed, and gone since",
        "any version",
        "made anew",
        "not there",
        "absent",
        "still there",
        "replaced",
        "not there yet",
        "deleted",
    ],
)
def test_seen(version: int, objects: dict[str, str], asked: ObjectRef, expected: bool) -> None:
    assert ledger(version, **objects).seen(asked) is expected


def test_the_number_is_that_of_the_last_change_among_the_objects_asked_about() -> None:
    made = ledger(1)
    made.record((*KIND, "ns", "a"))
    made.record((*KIND, "ns", "b"))
    made.record(("", "Service", "ns", "c"))
    assert made.sequence == 3
    assert made.number([ref()]) == 1
    assert made.number([ref(), ObjectRef(*KIND, "ns", "b")]) == 2
    assert made.number([ObjectRef(*KIND, "ns", "unknown")]) == 0


def test_only_watched_kinds_and_namespaces_concern_the_control_plane() -> None:
    made = ledger(1)
    made.watch("", "ConfigMap", Watched(lambda *_: None, lambda: 1, namespace="istio-system"))
    assert made.watches(ref())
    assert not made.watches(ObjectRef("apps", "Deployment", "ns", "a"))
    assert made.watches(ObjectRef("", "ConfigMap", "istio-system", "istio"))
    assert not made.watches(ObjectRef("", "ConfigMap", "other", "istio"))
