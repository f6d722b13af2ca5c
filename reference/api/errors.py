"""What is wrong with a configuration, field by field."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field: its path from the object's root (`spec.http[0].route[1].weight`), what was expected, what came."""

    path: str
    expected: str
    got: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.path}: expected {self.expected}, got {self.got}{hint}"


class InvalidConfig(ValueError):
    """The object must be corrected by whoever wrote it. `errors` holds one entry per wrong field."""

    def __init__(self, kind: str, name: str, errors: list[FieldError]) -> None:
        self.kind, self.name, self.errors = kind, name, errors
        super().__init__(f"{kind} {name}: " + "; ".join(str(error) for error in errors))


@dataclass(slots=True)
class Errors:
    """Collects what a parse finds."""

    found: list[FieldError] = field(default_factory=list)

    def add(self, path: str, expected: str, got: object, hint: str = "") -> None:
        self.found.append(FieldError(path, expected, shown(got), hint))


def shown(value: object) -> str:
    """A value as a message quotes it: short, and text in quotation marks."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 120 else text[:117] + "..."
