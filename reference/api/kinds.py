"""The kinds of value that a field can hold: how each is read from JSON, and its structural schema."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from reference.api.errors import Errors

Obj = dict[str, Any]
Check = Callable[[str], str | None]
"""Takes a text and says what was expected when it is wrong."""


class Kind(Protocol):
    def read(self, value: object, at: str, errors: Errors) -> Any:
        """The value as the model holds it; anything, once an error has been added."""

    def schema(self) -> Obj: ...


@dataclass(frozen=True, slots=True)
class Text:
    checks: tuple[Check, ...] = ()
    max_length: int | None = None

    def read(self, value: object, at: str, errors: Errors) -> str:
        if not isinstance(value, str):
            errors.add(at, "a text", value)
            return ""
        if self.max_length is not None and len(value) > self.max_length:
            errors.add(at, f"at most {self.max_length} characters", f"{len(value)}")
        for check in self.checks:
            expected = check(value)
            if expected:
                errors.add(at, expected, value)
                break
        return value

    def schema(self) -> Obj:
        return {"type": "string"} | ({"maxLength": self.max_length} if self.max_length is not None else {})


@dataclass(frozen=True, slots=True)
class Integer:
    low: int | None = None
    high: int | None = None

    def read(self, value: object, at: str, errors: Errors) -> int:
        expected = "an integer" + _range(self.low, self.high)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            errors.add(at, expected, value)
            return 0
        if (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            errors.add(at, expected, value)
        return value

    def schema(self) -> Obj:
        return {"type": "integer"}


@dataclass(frozen=True, slots=True)
class Number:
    low: float | None = None
    high: float | None = None

    def read(self, value: object, at: str, errors: Errors) -> float:
        expected = "a number" + _range(self.low, self.high)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            errors.add(at, expected, value)
            return 0.0
        if (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            errors.add(at, expected, value)
        return float(value)

    def schema(self) -> Obj:
        return {"type": "number"}


def _range(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low:.12g} to {high:.12g}"
    if low is not None:
        return f" of at least {low:g}"
    return f" of at most {high:g}" if high is not None else ""


@dataclass(frozen=True, slots=True)
class Boolean:
    def read(self, value: object, at: str, errors: Errors) -> bool:
        if not isinstance(value, bool):
            errors.add(at, "true or false", value)
        return value is True

    def schema(self) -> Obj:
        return {"type": "boolean"}


_DURATION = re.compile(r"^(?:\d+(?:\.\d+)?(?:h|ms|m|s|us|ns))+$")
_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|ns)")
_LONGEST = 2_562_047 * 3600.0
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


@dataclass(frozen=True, slots=True)
class Duration:
    """Read into seconds. Written as Go writes durations: `1h`, `1.5s`, `250ms`."""

    low: float = 0.001

    def read(self, value: object, at: str, errors: Errors) -> float:
        if not isinstance(value, str) or not (value == "0" or _DURATION.match(value)):
            errors.add(at, "a duration", value, "write a number with a unit, such as 1.5s, 250ms or 1h")
            return 0.0
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(value))
        if seconds < self.low:
            errors.add(at, f"a duration of at least {self.low * 1000:g}ms", value)
        if seconds > _LONGEST:
            errors.add(at, f"a duration of at most {_LONGEST / 3600:g}h", value)
        return seconds

    def schema(self) -> Obj:
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class OneOfNames:
    """One of a set of names."""

    names: tuple[str, ...]

    def read(self, value: object, at: str, errors: Errors) -> str:
        if value not in self.names:
            errors.add(at, "one of " + ", ".join(self.names), value)
            return self.names[0]
        return str(value)

    def schema(self) -> Obj:
        return {"type": "string", "enum": list(self.names)}


@dataclass(frozen=True, slots=True)
class Many:
    item: Kind
    min_items: int = 0
    max_items: int | None = None

    def read(self, value: object, at: str, errors: Errors) -> tuple[Any, ...]:
        if not isinstance(value, list):
            errors.add(at, "a list", value)
            return ()
        if len(value) < self.min_items:
            errors.add(at, f"at least {self.min_items} entries", f"{len(value)}")
        if self.max_items is not None and len(value) > self.max_items:
            errors.add(at, f"at most {self.max_items} entries", f"{len(value)}")
        return tuple(self.item.read(entry, f"{at}[{index}]", errors) for index, entry in enumerate(value))

    def schema(self) -> Obj:
        return {"type": "array", "items": self.item.schema()}


@dataclass(frozen=True, slots=True)
class MapOf:
    item: Kind

    def read(self, value: object, at: str, errors: Errors) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            errors.add(at, "a map", value)
            return {}
        return {key: self.item.read(entry, f"{at}[{key}]", errors) for key, entry in value.items()}

    def schema(self) -> Obj:
        return {"type": "object", "additionalProperties": self.item.schema()}


@dataclass(frozen=True, slots=True)
class Free:
    """Anything; kept as it is."""

    def read(self, value: object, at: str, errors: Errors) -> Any:  # noqa: ARG002
        return value

    def schema(self) -> Obj:
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


TEXT, BOOL, DURATION, FREE = Text(), Boolean(), Duration(), Free()
PORT = Integer(1, 65535)
UINT32 = Integer(0, 2**32 - 1)
INT32 = Integer(0, 2**31 - 1)
TEXTS = Many(TEXT)
TEXT_MAP = MapOf(TEXT)
