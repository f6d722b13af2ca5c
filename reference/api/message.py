"""Messages with declared fields: a frozen dataclass whose fields say what they hold.

    @dataclass(frozen=True, slots=True)
    class HTTPRewrite(Message):
        uri: str | None = spec(TEXT)

The declaration gives the parser, the checks and the CRD's schema. A class adds what a schema cannot say in `check`,
and which of its fields exclude one another in `ONE_OF`.
"""

import difflib
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, Final, Self

from reference.api.errors import Errors
from reference.api.kinds import Kind, Many, MapOf, Obj


@dataclass(frozen=True, slots=True)
class OneOf:
    """At most one of these fields (JSON names) is set; exactly one with `required`."""

    names: tuple[str, ...]
    required: bool = False


def one_of(*names: str, required: bool = False) -> OneOf:
    return OneOf(names, required)


@dataclass(frozen=True, slots=True)
class _Spec:
    kind: Kind
    json: str | None
    required: bool


def spec(kind: Kind, *, json: str | None = None, required: bool = False, default: object = MISSING) -> Any:
    """A field of a message. Without a default, lists are empty, maps are empty, and everything else is None."""
    meta = {"spec": _Spec(kind, json, required)}
    if default is not MISSING:
        return field(default=default, metadata=meta)
    if isinstance(kind, Many):
        return field(default=(), metadata=meta)
    if isinstance(kind, MapOf):
        return field(default_factory=dict, metadata=meta)
    return field(default=None, metadata=meta)


@dataclass(frozen=True, slots=True)
class Declared:
    name: str
    json: str
    kind: Kind
    required: bool


_DECLARED: Final[dict[type, tuple[Declared, ...]]] = {}


def declared(cls: "type[Message]") -> tuple[Declared, ...]:
    """The declared fields of a message class, in order."""
    known = _DECLARED.get(cls)
    if known is not None:
        return known
    found = []
    for entry in fields(cls):  # type: ignore[arg-type]
        about: _Spec = entry.metadata["spec"]
        found.append(Declared(entry.name, about.json or _camel(entry.name), about.kind, about.required))
    _DECLARED[cls] = tuple(found)
    return _DECLARED[cls]


def _camel(name: str) -> str:
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(part.capitalize() for part in rest)


class Message:
    """Base of all messages."""

    __slots__ = ()
    ONE_OF: ClassVar[tuple[OneOf, ...]] = ()

    def check(self, at: str, errors: Errors) -> None:
        """Adds what is wrong beyond the single fields; called once the fields themselves are right."""

    @classmethod
    def parse(cls, value: object, at: str, errors: Errors) -> Self:
        if not isinstance(value, dict):
            errors.add(at, "an object", value)
            return cls()
        before = len(errors.found)
        known = declared(cls)
        values: dict[str, object] = {}
        for about in known:
            raw = value.get(about.json)
            if raw is None:
                if about.required:
                    errors.add(f"{at}.{about.json}", "a value: the field is required", None)
                continue
            values[about.name] = about.kind.read(raw, f"{at}.{about.json}", errors)
        names = {about.json for about in known}
        for name in value:
            if name not in names:
                close = difflib.get_close_matches(name, names, n=1)
                errors.add(f"{at}.{name}", "a known field", name, f"did you mean {close[0]}?" if close else "")
        for group in cls.ONE_OF:
            given = [name for name in group.names if value.get(name) is not None]
            if len(given) > 1 or (group.required and not given):
                count = "exactly one" if group.required else "at most one"
                errors.add(at, f"{count} of {', '.join(group.names)}", ", ".join(given) or None)
        made = cls(**values)
        if len(errors.found) == before:
            made.check(at, errors)
        return made

    @classmethod
    def schema(cls) -> Obj:
        """The structural schema; `oneOf` as Istio's CRDs write it."""
        known = declared(cls)
        made: Obj = {"type": "object", "properties": {about.json: about.kind.schema() for about in known}}
        required = [about.json for about in known if about.required]
        if required:
            made["required"] = required
        choices = [_choice(group) for group in cls.ONE_OF]
        if len(choices) == 1:
            made["oneOf"] = choices[0]
        elif choices:
            made["allOf"] = [{"oneOf": choice} for choice in choices]
        return made


def _choice(group: OneOf) -> list[Obj]:
    required: list[Obj] = [{"required": [name]} for name in group.names]
    return required if group.required else [{"not": {"anyOf": required}}, *required]


@dataclass(frozen=True, slots=True)
class Sub:
    """A field that holds a message."""

    cls: type[Message]

    def read(self, value: object, at: str, errors: Errors) -> Any:
        return self.cls.parse(value, at, errors)

    def schema(self) -> Obj:
        return self.cls.schema()
