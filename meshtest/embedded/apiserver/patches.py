"""JSON patch (RFC 6902), merge patch (RFC 7386) and strategic merge patch. Pure: none changes its arguments.

Strategic: https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
"""

from __future__ import annotations

import copy
from typing import Any

from .errors import StatusError, bad_request
from .listtypes import MAP, SET, Shape

Obj = dict[str, Any]
_DIRECTIVES = ("$patch", "$retainKeys", "$deleteFromPrimitiveList/", "$setElementOrder/")


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    out = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merge(out.get(key), value)
    return out


def json_patch(target: Obj, operations: Any) -> Any:
    """RFC 6902. Raises 400 for a patch that is malformed, 422 for one that does not apply."""
    import jsonpatch
    import jsonpointer

    if not isinstance(operations, list):
        raise bad_request("a JSON patch must be an array of operations")
    for operation in operations:
        if not isinstance(operation, dict) or "op" not in operation or "path" not in operation:
            raise bad_request("each operation of a JSON patch needs op and path")
    try:
        return jsonpatch.apply_patch(copy.deepcopy(target), operations)
    except jsonpatch.JsonPatchTestFailed as error:
        raise StatusError(
            422, "Invalid", f"the server rejected our request due to an error in our request: {error}"
        ) from None
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, KeyError, IndexError) as error:
        raise StatusError(
            422, "Invalid", f"the server rejected our request due to an error in our request: {error}"
        ) from None


def strategic(target: Obj, patch: Obj, shape: Shape) -> Obj:
    """Strategic merge; ``shape`` says how lists merge."""
    if not isinstance(patch, dict):
        raise bad_request("a strategic merge patch must be an object")
    out = _merge_object(target, patch, shape)
    return out if isinstance(out, dict) else {}


def _merge_object(target: Any, patch: Obj, shape: Shape) -> Any:
    directive = patch.get("$patch")
    if directive == "replace":
        return {k: v for k, v in patch.items() if k != "$patch"}
    if directive == "delete":
        return None
    if directive not in (None, "merge"):
        raise bad_request(f"unknown patch type: {directive}")
    out: Obj = dict(target) if isinstance(target, dict) else {}
    retain = patch.get("$retainKeys")
    if isinstance(retain, list):
        out = {k: v for k, v in out.items() if k in retain}
    for key, value in patch.items():
        if key.startswith(_DIRECTIVES):
            continue
        if value is None:
            out.pop(key, None)
            continue
        below = shape.at(key)
        if isinstance(value, dict):
            # A part that is atomic for apply still merges here: strategic patches know only their own keys.
            merged = _merge_object(out.get(key), value, below)
            if merged is None:
                out.pop(key, None)
            else:
                out[key] = merged
        elif isinstance(value, list):
            order = patch.get(f"$setElementOrder/{key}")
            out[key] = _merge_list(out.get(key), value, below, order)
        else:
            out[key] = value
    for key, gone in patch.items():
        if key.startswith("$deleteFromPrimitiveList/") and isinstance(gone, list):
            name = key.split("/", 1)[1]
            if isinstance(out.get(name), list):
                out[name] = [each for each in out[name] if each not in gone]
        elif key.startswith("$setElementOrder/") and isinstance(gone, list):
            name = key.split("/", 1)[1]
            if isinstance(out.get(name), list) and name not in patch:
                out[name] = _ordered(out[name], gone, shape.at(name))
    return out


def _merge_list(target: Any, patch: list[Any], shape: Shape, order: Any) -> list[Any]:
    if any(isinstance(each, dict) and each.get("$patch") == "replace" and len(each) == 1 for each in patch):
        return [each for each in patch if not (isinstance(each, dict) and each.get("$patch") == "replace")]
    have = list(target) if isinstance(target, list) else []
    if shape.type == SET and shape.patch_key:
        out = have + [each for each in patch if each not in have]
        return _ordered(out, order, shape) if isinstance(order, list) else out
    key = shape.patch_key
    if shape.type != MAP or not key:
        return [_strip(each) for each in patch]
    for each in patch:
        if not isinstance(each, dict):
            raise bad_request(f"expected objects with the key {key} in a merged list, got {type(each).__name__}")
        if "$patch" in each and each["$patch"] == "delete":
            have = [old for old in have if not (isinstance(old, dict) and old.get(key) == each.get(key))]
            continue
        if key not in each:
            raise bad_request(f"map: {each} does not contain declared merge key: {key}")
        # Service ports may share a number under two protocols: all keys that the patch names must agree.
        names = [name for name in shape.keys if name in each] or [key]
        index = next((i for i, old in enumerate(have) if all(old.get(n) == each.get(n) for n in names)), -1)
        if index >= 0:
            have[index] = _merge_object(have[index], each, shape.items)
        else:
            have.append(_merge_object({}, each, shape.items))
    return _ordered(have, order, shape) if isinstance(order, list) else have


def _strip(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _strip(v) for k, v in value.items() if not k.startswith(_DIRECTIVES)}
    return value


def _ordered(items: list[Any], order: list[Any], shape: Shape) -> list[Any]:
    """Items in the order that the client wants; those that it does not know keep their place behind the one before."""
    key = shape.patch_key

    def name(each: Any) -> Any:
        return each.get(key) if isinstance(each, dict) else each

    ranks: dict[Any, int] = {}
    for index, each in enumerate(order):
        ranks.setdefault(name(each), index)
    out: list[tuple[int, int, Any]] = []
    last = -1
    for position, each in enumerate(items):
        last = ranks.get(name(each), last)
        out.append((last, position, each))
    return [each for _, _, each in sorted(out, key=lambda t: (t[0], t[1]))]
