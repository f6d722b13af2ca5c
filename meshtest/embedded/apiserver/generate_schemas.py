"""Writes ``builtin_schemas.json``: field names and types of the built-in kinds, from the `kubernetes` package's models.

Run it after an upgrade of that package: ``python -m meshtest.embedded.apiserver.generate_schemas``.
The file is ``{"kinds": {"group/Kind": type}, "types": {type: {field: type expression}}}``. A type expression is
``str``, ``int``, ``float``, ``bool``, ``datetime``, ``object`` (anything), a type's name, ``list[...]`` or
``dict[str,...]``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson

from .builtin import BUILTIN
from .kinds import Kind

TARGET = Path(__file__).with_name("builtin_schemas.json")
_SPECIAL = {
    "events": "CoreV1Event",
    "events.events.k8s.io": "EventsV1Event",
}
_EXTRA = {
    "authentication.k8s.io/TokenRequest": "AuthenticationV1TokenRequest",
    "policy/Eviction": "V1Eviction",
    "autoscaling/Scale": "V1Scale",
    "/DeleteOptions": "V1DeleteOptions",
}


def _model_name(kind: Kind) -> str:
    return _SPECIAL.get(kind.key, f"{kind.storage[0].upper()}{kind.storage[1:]}{kind.kind}")


def _expression(text: str) -> str:
    return text.replace("List[", "list[").replace("Dict[", "dict[").replace(" ", "")


def main() -> None:
    from kubernetes.client import models

    kinds = {f"{kind.group}/{kind.kind}": _model_name(kind) for kind in BUILTIN} | _EXTRA
    types: dict[str, dict[str, str]] = {}
    todo = list(kinds.values())
    while todo:
        name = todo.pop()
        if name in types:
            continue
        model: Any = getattr(models, name, None)
        if model is None:
            print(f"no model {name}: its fields stay unchecked")
            continue
        types[name] = {model.attribute_map[key]: _expression(value) for key, value in model.openapi_types.items()}
        for expression in types[name].values():
            todo += [each for each in re.findall(r"[A-Z]\w+", expression) if each not in types]
    kinds = {key: value for key, value in kinds.items() if value in types}
    document = {"kinds": kinds, "types": types}
    TARGET.write_bytes(orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE))
    print(f"{TARGET}: {len(kinds)} kinds, {len(types)} types")


if __name__ == "__main__":
    main()
