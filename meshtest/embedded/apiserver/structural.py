"""stub"""

from __future__ import annotations
from typing import Any
from .errors import FieldError

Obj = dict[str, Any]


def prune(obj: Obj, schema: Obj, root: bool = False) -> list[str]:
    return []


def default(obj: Obj, schema: Obj) -> None:
    pass


def validate(obj: Obj, schema: Obj, old: Obj | None) -> list[FieldError]:
    return []
