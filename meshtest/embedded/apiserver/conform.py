"""Whether an object has the shape of its kind: unknown fields, pruning, defaults, validation by schema."""

from __future__ import annotations

from typing import Any

from . import builtin_schema, structural, validation
from .call import Call
from .errors import FieldError, bad_request
from .kinds import Kind

Obj = dict[str, Any]


class Conform:
    """Knows the schemas. Built-in kinds: see `builtin_schema`; custom kinds carry their own."""

    def incoming(self, kind: Kind, version: str, obj: Obj, call: Call) -> None:
        """Prune and default ``obj`` in place; complain about unknown fields as ``call.options`` asks."""
        if not kind.custom:
            if call.user.is_system:
                return  # the cluster's own parts know their kinds; this is the hot path
            unknown = builtin_schema.check(kind.group, kind.kind, version, obj)
        else:
            unknown = builtin_schema.check_metadata(kind.kind, version, obj["metadata"])
            schema = kind.schemas.get(version) or {}
            unknown += structural.prune(obj, schema, root=True)
            structural.default(obj, schema)
        if unknown:
            self._report(unknown, kind, version, call)

    @staticmethod
    def _report(unknown: list[str], kind: Kind, version: str, call: Call) -> None:
        texts = [f'unknown field "{path}"' for path in unknown]
        if call.options.field_validation == "Strict":
            raise bad_request(
                f'{kind.kind} in version "{version}" cannot be handled as a {kind.kind}: strict decoding error: '
                + ", ".join(texts)
            )
        if call.options.field_validation == "Warn":
            call.warnings.extend(texts)

    def validate(self, kind: Kind, version: str, obj: Obj, old: Obj | None) -> list[FieldError]:
        if not kind.custom:
            return []
        schema = kind.schemas.get(version)
        return validation.validate(obj, schema, old) if schema else []
