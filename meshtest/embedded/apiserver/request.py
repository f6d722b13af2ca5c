"""Reading a request: which resource the path names, which verb is meant, which options came with it.

https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .errors import StatusError, bad_request

_METHODS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names. ``rest`` is what follows a proxy subresource. Not a resource: ``plural`` is ""."""

    path: str
    group: str = ""
    version: str = ""
    namespace: str = ""
    plural: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""

    @property
    def is_resource(self) -> bool:
        return self.plural != ""


def parse_path(path: str) -> Target:
    """``/api/v1/...`` and ``/apis/GROUP/VERSION/...``; anything else is not a resource."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, parts = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, parts = parts[1], parts[2], parts[3:]
    else:
        return Target(path)
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2 and parts[2] not in ("status", "finalize"):
        namespace, parts = parts[1], parts[2:]
    elif parts[0] == "namespaces" and len(parts) > 1:
        namespace = parts[1]
    return Target(
        path,
        group,
        version,
        namespace,
        parts[0],
        parts[1] if len(parts) > 1 else "",
        parts[2] if len(parts) > 2 else "",
        "/".join(parts[3:]),
    )


def verb_of(method: str, target: Target, query: Mapping[str, str]) -> str:
    """The verb as authorization and audit name it."""
    if not target.is_resource:
        return "get" if method == "HEAD" else method.lower()
    verb = _METHODS.get(method, method.lower())
    if target.name:
        return verb
    if verb == "get":
        return "watch" if is_true(query.get("watch")) else "list"
    return "deletecollection" if verb == "delete" else verb


def is_true(text: str | None) -> bool:
    return text is not None and text.lower() in ("", "1", "t", "true")


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """``field_validation``: Strict, Warn or Ignore."""

    dry_run: bool = False
    field_manager: str = ""
    field_validation: str = "Warn"
    force: bool = False


def write_options(query: Mapping[str, str]) -> WriteOptions:
    validation = query.get("fieldValidation") or "Warn"
    if validation not in ("Strict", "Warn", "Ignore"):
        raise bad_request(
            f'fieldValidation: Unsupported value: "{validation}": supported values: "Ignore", "Strict", "Warn"'
        )
    return WriteOptions(
        dry_run(query.get("dryRun")), query.get("fieldManager", ""), validation, is_true(query.get("force"))
    )


def dry_run(value: str | None) -> bool:
    if not value:
        return False
    if value != "All":
        raise StatusError(
            422, "Invalid", f' "" is invalid: dryRun: Unsupported value: "{value}": supported values: "All"'
        )
    return True


def number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax (query parameter {name})') from None
