"""Namespaces, nodes, ConfigMaps, Secrets, webhook configurations, certificate requests."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from meshtest.embedded.apiserver.errors import FieldError, forbidden_field, invalid, required, type_invalid

Obj = dict[str, Any]


def default_namespace(obj: Obj) -> None:
    labels = obj["metadata"].get("labels") or {}
    name = obj["metadata"].get("name")
    if name:
        labels["kubernetes.io/metadata.name"] = name
        obj["metadata"]["labels"] = labels


def create_namespace(obj: Obj) -> None:
    default_namespace(obj)
    obj["spec"] = {"finalizers": ["kubernetes"]}
    obj["status"] = {"phase": "Active"}


def default_node(obj: Obj) -> None:
    obj.setdefault("spec", {})
    obj.setdefault("status", {})


def default_secret(obj: Obj) -> None:
    if not obj.get("type"):
        obj["type"] = "Opaque"
    plain = obj.pop("stringData", None)
    if plain:
        data = obj.get("data") or {}
        for key, value in plain.items():
            data[key] = base64.b64encode(str(value).encode()).decode()
        obj["data"] = data


def validate_secret(obj: Obj) -> list[FieldError]:
    data = obj.get("data") or {}
    if not isinstance(data, dict):
        return [type_invalid("data", data, "must be a map of base64 strings")]
    errors: list[FieldError] = []
    for key, value in data.items():
        try:
            base64.b64decode(value or "", validate=True)
        except (binascii.Error, TypeError, ValueError):
            errors.append(invalid(f"data[{key}]", "<secret contents redacted>", "must be base64"))
    if obj["type"] == "kubernetes.io/tls":
        errors += [required(f"data[{key}]") for key in ("tls.crt", "tls.key") if key not in data]
    return errors


def validate_secret_update(new: Obj, old: Obj) -> list[FieldError]:
    errors = _immutable(new, old)
    if new.get("type") != old.get("type"):
        errors.append(invalid("type", new.get("type"), "field is immutable"))
    return errors


def validate_config_map(obj: Obj) -> list[FieldError]:
    errors: list[FieldError] = []
    for key, value in (obj.get("data") or {}).items():
        if not isinstance(value, str):
            errors.append(type_invalid(f"data[{key}]", value, "must be a string"))
    both = set(obj.get("data") or {}) & set(obj.get("binaryData") or {})
    errors += [invalid(f"data[{key}]", key, "duplicate of key present in binaryData") for key in sorted(both)]
    return errors


def validate_config_map_update(new: Obj, old: Obj) -> list[FieldError]:
    return _immutable(new, old)


def _immutable(new: Obj, old: Obj) -> list[FieldError]:
    if not old.get("immutable"):
        return []
    errors = [
        forbidden_field(key, "field is immutable when `immutable` is set")
        for key in ("data", "binaryData")
        if (new.get(key) or {}) != (old.get(key) or {})
    ]
    if not new.get("immutable"):
        errors.append(forbidden_field("immutable", "field is immutable when `immutable` is set"))
    return errors


def default_webhooks(obj: Obj) -> None:
    mutating = obj.get("kind", "").startswith("Mutating")
    for hook in obj.get("webhooks") or []:
        hook.setdefault("failurePolicy", "Fail")
        hook.setdefault("matchPolicy", "Equivalent")
        hook.setdefault("namespaceSelector", {})
        hook.setdefault("objectSelector", {})
        hook.setdefault("timeoutSeconds", 10)
        if mutating:
            hook.setdefault("reinvocationPolicy", "Never")
        service = (hook.get("clientConfig") or {}).get("service")
        if service:
            service.setdefault("port", 443)
        for rule in hook.get("rules") or []:
            rule.setdefault("scope", "*")


def validate_webhooks(obj: Obj) -> list[FieldError]:
    errors: list[FieldError] = []
    names: set[str] = set()
    for index, hook in enumerate(obj.get("webhooks") or []):
        path = f"webhooks[{index}]"
        name = hook.get("name", "")
        if not name:
            errors.append(required(f"{path}.name"))
        elif name.count(".") < 2:
            errors.append(
                invalid(f"{path}.name", name, "should be a domain with at least three segments separated by dots")
            )
        elif name in names:
            errors.append(FieldError(f"{path}.name", "FieldValueDuplicate", f'Duplicate value: "{name}"'))
        names.add(name)
        if not hook.get("admissionReviewVersions"):
            errors.append(required(f"{path}.admissionReviewVersions", "must specify one of v1, v1beta1"))
        if hook.get("sideEffects") not in ("None", "NoneOnDryRun"):
            errors.append(
                FieldError(
                    f"{path}.sideEffects",
                    "FieldValueNotSupported" if hook.get("sideEffects") else "FieldValueRequired",
                    "Required value: must specify one of None, NoneOnDryRun"
                    if not hook.get("sideEffects")
                    else f'Unsupported value: "{hook["sideEffects"]}": supported values: "None", "NoneOnDryRun"',
                )
            )
        config = hook.get("clientConfig") or {}
        if bool(config.get("url")) == bool(config.get("service")):
            errors.append(required(f"{path}.clientConfig", "exactly one of url or service is required"))
        timeout = hook.get("timeoutSeconds", 10)
        if not isinstance(timeout, int) or not 1 <= timeout <= 30:
            errors.append(
                invalid(f"{path}.timeoutSeconds", timeout, "the timeout value must be between 1 and 30 seconds")
            )
    return errors


def validate_csr(obj: Obj) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors = [required(f"spec.{key}") for key in ("request", "signerName") if not spec.get(key)]
    if not spec.get("usages"):
        errors.append(required("spec.usages", "usages is required"))
    return errors
