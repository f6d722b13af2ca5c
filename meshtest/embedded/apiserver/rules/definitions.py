"""CustomResourceDefinitions: defaults and validation."""

from __future__ import annotations

from typing import Any

from meshtest.embedded.apiserver.errors import FieldError, invalid, not_supported, required
from meshtest.embedded.apiserver.metadata import is_label, is_subdomain

Obj = dict[str, Any]


def default(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    names = spec.setdefault("names", {})
    if names.get("kind"):
        names.setdefault("singular", names["kind"].lower())
        names.setdefault("listKind", f"{names['kind']}List")
    conversion = spec.setdefault("conversion", {})
    conversion.setdefault("strategy", "None")


def create(obj: Obj) -> None:
    from meshtest.embedded.apiserver.crds import accept

    obj["status"] = {}
    if not validate(obj):
        accept(obj)


def update(new: Obj, old: Obj) -> None:
    from meshtest.embedded.apiserver.crds import accept

    new["status"] = {**(old.get("status") or {})}
    if not validate(new):
        accept(new)


def validate(obj: Obj) -> list[FieldError]:
    spec = obj.get("spec") or {}
    names = spec.get("names") or {}
    errors: list[FieldError] = []
    group = spec.get("group") or ""
    if not group:
        errors.append(required("spec.group"))
    elif not is_subdomain(group) or "." not in group:
        errors.append(invalid("spec.group", group, "should be a domain with at least one dot"))
    for key in ("plural", "singular", "kind", "listKind"):
        value = names.get(key) or ""
        if not value:
            errors.append(required(f"spec.names.{key}"))
        elif not is_label(value.lower()):
            errors.append(invalid(f"spec.names.{key}", value, "must be a DNS-1035 label"))
    name = f"{names.get('plural', '')}.{group}"
    if obj["metadata"].get("name") != name:
        errors.append(
            invalid("metadata.name", obj["metadata"].get("name", ""), 'must be spec.names.plural+"."+spec.group')
        )
    if spec.get("scope") not in ("Namespaced", "Cluster"):
        errors.append(
            not_supported("spec.scope", spec["scope"], ("Cluster", "Namespaced"))
            if spec.get("scope")
            else required("spec.scope")
        )
    return errors + _validate_versions(spec.get("versions") or [])


def _validate_versions(versions: list[Obj]) -> list[FieldError]:
    if not versions:
        return [required("spec.versions", "must have at least one version")]
    errors: list[FieldError] = []
    stored = [version for version in versions if version.get("storage")]
    if len(stored) != 1:
        errors.append(
            invalid(
                "spec.versions",
                [v.get("name") for v in versions],
                "must have exactly one version marked as storage version",
            )
        )
    for index, version in enumerate(versions):
        path = f"spec.versions[{index}]"
        if not is_label(version.get("name") or ""):
            errors.append(invalid(f"{path}.name", version.get("name", ""), "must be a DNS-1035 label"))
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if not isinstance(schema, dict):
            errors.append(required(f"{path}.schema.openAPIV3Schema", "schemas are required"))
        elif schema.get("type") != "object":
            errors.append(
                required(f"{path}.schema.openAPIV3Schema.type", "must not be empty at the root")
                if not schema.get("type")
                else invalid(f"{path}.schema.openAPIV3Schema.type", schema["type"], 'must be "object" at the root')
            )
        for number, column in enumerate(version.get("additionalPrinterColumns") or []):
            for key in ("name", "type", "jsonPath"):
                if not column.get(key):
                    errors.append(required(f"{path}.additionalPrinterColumns[{number}].{key}"))
    return errors
