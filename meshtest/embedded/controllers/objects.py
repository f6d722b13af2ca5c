"""Small questions about objects that every controller asks."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import orjson

from kubeclient import Obj, Resource

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes' alphabet for generated names: no vowels, so no words."""


def namespace_of(obj: Obj) -> str:
    """The object's namespace, "" for cluster-wide ones."""
    return str(obj["metadata"].get("namespace") or "")


def is_deleting(obj: Obj) -> bool:
    """Deletion was asked for; finalizers or a grace period keep the object."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def controller_of(obj: Obj) -> Obj | None:
    """The owner reference that says who manages the object."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return dict(reference)
    return None


def is_controlled_by(obj: Obj, owner: Obj) -> bool:
    """Whether `owner`, this very one, manages `obj`."""
    reference = controller_of(obj)
    return reference is not None and reference["uid"] == owner["metadata"]["uid"]


def owner_reference(resource: Resource, owner: Obj) -> Obj:
    """The reference that makes `owner` the manager of another object."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def adoption(resource: Resource, owner: Obj, obj: Obj) -> Obj:
    """The merge patch by which `owner` adopts `obj`."""
    references = [*(obj["metadata"].get("ownerReferences") or ()), owner_reference(resource, owner)]
    return {"metadata": {"uid": obj["metadata"]["uid"], "ownerReferences": references}}


def condition(obj: Obj, kind: str) -> Obj | None:
    """The status condition of that type."""
    for entry in (obj.get("status") or {}).get("conditions") or ():
        if entry.get("type") == kind:
            return dict(entry)
    return None


def is_condition_true(obj: Obj, kind: str) -> bool:
    """Whether that condition's status is "True"."""
    entry = condition(obj, kind)
    return entry is not None and entry.get("status") == "True"


def with_condition(conditions: Sequence[Obj], new: Obj, now: datetime) -> list[Obj]:
    """The conditions with `new` in place of the one of its type; times move only when something did."""
    stamp = timestamp(now)
    result, replaced = [], False
    for old in conditions:
        if old.get("type") != new["type"]:
            result.append(old)
            continue
        replaced = True
        if all(old.get(key) == new.get(key) for key in ("status", "reason", "message")):
            result.append(old)
            continue
        moved = stamp if old.get("status") != new.get("status") else old.get("lastTransitionTime", stamp)
        result.append({**new, "lastUpdateTime": stamp, "lastTransitionTime": moved})
    if not replaced:
        result.append({**new, "lastUpdateTime": stamp, "lastTransitionTime": stamp})
    return result


def timestamp(moment: datetime) -> str:
    """RFC 3339 with seconds, as Kubernetes writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str | None) -> datetime | None:
    """The moment that an RFC 3339 text names."""
    return datetime.fromisoformat(text) if text else None


def encode_hash(value: object, length: int = 10) -> str:
    """A short hash of any JSON value in the letters of generated names."""
    digest = hashlib.blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:length])


def is_pod_ready(pod: Obj) -> bool:
    """The Ready condition; a pod that is being deleted may still be ready."""
    return is_condition_true(pod, "Ready")


def is_pod_finished(pod: Obj) -> bool:
    """Phase Succeeded or Failed: it will not run again."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def is_pod_active(pod: Obj) -> bool:
    """Neither finished nor on its way out: it counts as a replica."""
    return not is_pod_finished(pod) and not is_deleting(pod)


def available_after(pod: Obj, min_ready_seconds: int, now: datetime) -> float | None:
    """Seconds until a ready pod counts as available: 0 when it does now, None when it is not ready."""
    entry = condition(pod, "Ready")
    if entry is None or entry.get("status") != "True":
        return None
    since = parse_time(entry.get("lastTransitionTime"))
    if not min_ready_seconds or since is None:
        return 0.0
    return max(0.0, min_ready_seconds - (now - since).total_seconds())


def resolve(value: int | str | None, total: int, default: int | str, *, up: bool) -> int:
    """A count that may be a percentage of `total`, rounded up or down."""
    chosen = default if value is None else value
    if isinstance(chosen, str) and chosen.endswith("%"):
        scaled = int(chosen[:-1]) * total
        return -(-scaled // 100) if up else scaled // 100
    return int(chosen)


def matches(selector: Obj | None, labels: Mapping[str, str] | None) -> bool:
    """Whether a LabelSelector selects these labels. None selects nothing, an empty one everything."""
    if selector is None:
        return False
    labels = labels or {}
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(satisfies(labels, term) for term in selector.get("matchExpressions") or ())


def satisfies(labels: Mapping[str, str], term: Obj) -> bool:
    """Whether labels fulfil one requirement: In, NotIn, Exists, DoesNotExist, and Gt, Lt for nodes."""
    value, operator = labels.get(term["key"]), term["operator"]
    values: Sequence[str] = term.get("values") or ()
    match operator:
        case "In":
            return value is not None and value in values
        case "NotIn":
            return value is None or value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            try:
                left, right = int(value or ""), int(values[0])
            except (ValueError, IndexError):
                return False
            return left > right if operator == "Gt" else left < right
    return False


def template_of(pod_template: Obj) -> tuple[Obj, Obj]:
    """Metadata (labels, annotations) and spec for a pod from a template."""
    metadata = pod_template.get("metadata") or {}
    kept: Obj = {key: dict(metadata[key]) for key in ("labels", "annotations") if metadata.get(key)}
    if metadata.get("finalizers"):
        kept["finalizers"] = list(metadata["finalizers"])
    return kept, pod_template.get("spec") or {}


def sort_by_name(objects: Iterable[Obj]) -> list[Obj]:
    """In the order of their names, so that plans do not depend on how objects were found."""
    return sorted(objects, key=lambda obj: str(obj["metadata"]["name"]))
