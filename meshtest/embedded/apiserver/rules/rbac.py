"""Bindings of roles."""

from __future__ import annotations

from typing import Any

from meshtest.embedded.apiserver.errors import FieldError, invalid, not_supported, required

Obj = dict[str, Any]
GROUP = "rbac.authorization.k8s.io"


def default_binding(obj: Obj) -> None:
    reference = obj.get("roleRef")
    if reference:
        reference.setdefault("apiGroup", GROUP)
        reference["apiGroup"] = reference["apiGroup"] or GROUP
    for subject in obj.get("subjects") or []:
        if subject.get("kind") in ("User", "Group"):
            subject["apiGroup"] = subject.get("apiGroup") or GROUP


def validate_binding(obj: Obj) -> list[FieldError]:
    errors: list[FieldError] = []
    reference = obj.get("roleRef") or {}
    allowed = ("Role", "ClusterRole") if obj.get("kind") == "RoleBinding" else ("ClusterRole",)
    if reference.get("kind") not in allowed:
        errors.append(not_supported("roleRef.kind", reference.get("kind", ""), allowed))
    if not reference.get("name"):
        errors.append(required("roleRef.name"))
    for index, subject in enumerate(obj.get("subjects") or []):
        path = f"subjects[{index}]"
        if not subject.get("name"):
            errors.append(required(f"{path}.name"))
        if subject.get("kind") == "ServiceAccount" and not subject.get("namespace"):
            if obj.get("kind") == "RoleBinding":
                continue
            errors.append(required(f"{path}.namespace"))
        elif subject.get("kind") not in ("ServiceAccount", "User", "Group"):
            errors.append(not_supported(f"{path}.kind", subject.get("kind", ""), ("ServiceAccount", "User", "Group")))
    return errors


def validate_binding_update(new: Obj, old: Obj) -> list[FieldError]:
    if new.get("roleRef") != old.get("roleRef"):
        return [invalid("roleRef", new.get("roleRef"), "cannot change roleRef")]
    return []
