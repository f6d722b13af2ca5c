"""Object metadata: names, uids, times, and what of it may change."""

from __future__ import annotations

import datetime
import random
import re
import time
import uuid
from typing import Any

from .errors import FieldError, forbidden_field, invalid, required
from .kinds import Kind

Obj = dict[str, Any]
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"  # no vowels, nothing that reads like another: as Kubernetes' own
_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_LABEL_1035 = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_QUALIFIED = re.compile(r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
_LABEL_VALUE = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")

SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
LABEL_1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
QUALIFIED_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
LABEL_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
# Kinds whose names only have to fit into a path segment.
_PATH_NAMES = frozenset(["rbac.authorization.k8s.io", "certificates.k8s.io"])


def now() -> str:
    """The time in RFC 3339, whole seconds, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def later(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def now_micro() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def random_suffix(length: int = 5) -> str:
    return "".join(random.choices(_SUFFIX, k=length))


def fill(metadata: Obj, generation: bool) -> None:
    """What the server itself writes into the metadata of a new object. ``generateName`` is resolved here."""
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"][: 253 - 5] + random_suffix()
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = now()
    for key in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion", "generation"):
        metadata.pop(key, None)
    for key in ("labels", "annotations", "finalizers", "ownerReferences"):
        if key in metadata and not metadata[key]:
            del metadata[key]
    if generation:
        metadata["generation"] = 1


def is_subdomain(name: str) -> bool:
    return len(name) <= 253 and _SUBDOMAIN.match(name) is not None


def is_label(name: str) -> bool:
    return len(name) <= 63 and _LABEL.match(name) is not None


def is_qualified(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    return len(name) <= 63 and _QUALIFIED.match(name) is not None and (not slash or is_subdomain(prefix))


def validate_name(kind: Kind, name: str) -> list[FieldError]:
    path = "metadata.name"
    if not name:
        return [required(path, "name or generateName is required")]
    if kind.group in _PATH_NAMES:
        if name in (".", "..") or "/" in name or "%" in name:
            return [invalid(path, name, "may not be '.', '..', or contain '/' or '%'")]
        return []
    if kind.key == "services":
        return [] if len(name) <= 63 and _LABEL_1035.match(name) else [invalid(path, name, LABEL_1035_TEXT)]
    if kind.key == "namespaces":
        return [] if is_label(name) else [invalid(path, name, LABEL_TEXT)]
    if len(name) > 253:
        return [invalid(path, name, "must be no more than 253 characters")]
    return [] if is_subdomain(name) else [invalid(path, name, SUBDOMAIN_TEXT)]


def validate_labels(labels: object, path: str) -> list[FieldError]:
    if not isinstance(labels, dict):
        return []
    errors: list[FieldError] = []
    for key, value in labels.items():
        if not is_qualified(key):
            errors.append(invalid(path, key, QUALIFIED_TEXT))
        if not isinstance(value, str) or len(value) > 63 or _LABEL_VALUE.match(value) is None:
            errors.append(invalid(path, value, LABEL_VALUE_TEXT))
    return errors


def validate(kind: Kind, obj: Obj) -> list[FieldError]:
    metadata = obj["metadata"]
    errors = validate_name(kind, metadata.get("name", ""))
    errors += validate_labels(metadata.get("labels"), "metadata.labels")
    for key in metadata.get("annotations") or {}:
        if not is_qualified(key.lower()):
            errors.append(invalid("metadata.annotations", key, QUALIFIED_TEXT))
    for finalizer in metadata.get("finalizers") or []:
        if not is_qualified(finalizer):
            errors.append(invalid("metadata.finalizers", finalizer, QUALIFIED_TEXT))
    for index, owner in enumerate(metadata.get("ownerReferences") or []):
        for key in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(key):
                errors.append(invalid(f"metadata.ownerReferences[{index}].{key}", "", "must not be empty"))
    return errors


def carry_over(new: Obj, old: Obj) -> None:
    """What an update cannot change is taken from the old object."""
    for key in ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
        if key in old:
            new[key] = old[key]
        else:
            new.pop(key, None)
    if "generateName" in old:
        new.setdefault("generateName", old["generateName"])
    new.pop("selfLink", None)
    for key in ("labels", "annotations", "finalizers", "ownerReferences"):
        if key in new and not new[key]:
            del new[key]


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    errors: list[FieldError] = []
    for key in ("name", "namespace"):
        if new.get(key, "") != old.get(key, ""):
            errors.append(invalid(f"metadata.{key}", new.get(key, ""), "field is immutable"))
    if old.get("deletionTimestamp"):
        added = [f for f in new.get("finalizers") or [] if f not in (old.get("finalizers") or [])]
        if added:
            listed = ", ".join(f'"{each}"' for each in added)
            errors.append(
                forbidden_field(
                    "metadata.finalizers",
                    "no new finalizers can be added if the object is being deleted, found new finalizers "
                    f"[]string{{{listed}}}",
                )
            )
    return errors
