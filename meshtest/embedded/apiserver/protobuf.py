"""Protobuf request bodies (``application/vnd.kubernetes.protobuf``) into trees as JSON would give them.

The body is ``k8s\\0`` and a runtime.Unknown message, which carries apiVersion, kind and the object's own message.
Answers are always JSON, which every client that writes protobuf accepts too.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterator
from typing import Any

from .errors import bad_request
from .protoschema import MESSAGES, Field

Obj = dict[str, Any]
MEDIA = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_DEPTH = 40


class _Malformed(ValueError):
    pass


def decode(data: bytes) -> Obj:
    """A tree. Raises 400 for bytes that are not such a message, or a kind that is not in the table."""
    if not data.startswith(_MAGIC):
        raise bad_request("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    try:
        api_version, kind, raw = _envelope(data[len(_MAGIC) :])
        message = MESSAGES.get(kind)
        if message is None:
            raise bad_request(f"protobuf bodies of kind {kind!r} are not understood here; send application/json")
        obj = _message(raw, message, 0)
    except (_Malformed, UnicodeDecodeError, IndexError) as error:
        raise bad_request(f"the protobuf body is malformed: {error}") from None
    return {"apiVersion": api_version, "kind": kind, **obj}


def _envelope(data: bytes) -> tuple[str, str, bytes]:
    api_version = kind = ""
    raw = b""
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            for inner, text in _fields(value):
                if isinstance(text, bytes):
                    api_version = text.decode() if inner == 1 else api_version
                    kind = text.decode() if inner == 2 else kind
        elif number == 2 and isinstance(value, bytes):
            raw = value
    return api_version, kind, raw


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7
        if shift > 63:
            raise _Malformed("a number is too long")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values: numbers, or the bytes of anything else."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            length, at = _varint(data, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise _Malformed(f"wire type {wire} of field {number} is unknown")
        if at + length > len(data):
            raise _Malformed(f"field {number} is cut off")
        yield number, data[at : at + length]
        at += length


def _message(data: bytes, message: dict[int, Field], depth: int) -> Obj:
    if depth > _DEPTH:
        raise _Malformed("nested too deeply")
    out: Obj = {}
    for number, raw in _fields(data):
        field = message.get(number)
        if field is None:
            continue
        if field.shape == "#":
            key, value = _entry(raw, field, depth)
            out.setdefault(field.name, {})[key] = value
            continue
        if field.shape == "*" and field.type == "i" and isinstance(raw, bytes):
            out.setdefault(field.name, []).extend(_packed(raw))
            continue
        value = _value(raw, field.type, depth)
        if field.shape == "*":
            out.setdefault(field.name, []).append(value)
        elif field.inline:
            out.update(value)
        elif field.pointer or value not in ("", 0, False, None, {}):
            out[field.name] = value
    return out


def _packed(raw: bytes) -> Iterator[int]:
    at = 0
    while at < len(raw):
        value, at = _varint(raw, at)
        yield _signed(value)


def _entry(raw: int | bytes, field: Field, depth: int) -> tuple[str, Any]:
    if not isinstance(raw, bytes):
        raise _Malformed(f"{field.name}: expected a map entry")
    key, value = "", _value(b"", field.type, depth)
    for number, each in _fields(raw):
        if number == 1 and isinstance(each, bytes):
            key = each.decode()
        elif number == 2:
            value = _value(each, field.type, depth)
    return key, value


def _value(raw: int | bytes, kind: str, depth: int) -> Any:
    if kind in ("i", "b"):
        if not isinstance(raw, int):
            raise _Malformed("expected a number")
        return bool(raw) if kind == "b" else _signed(raw)
    if not isinstance(raw, bytes):
        raise _Malformed("expected bytes")
    match kind:
        case "s":
            return raw.decode()
        case "y":
            return base64.b64encode(raw).decode()
        case "t" | "u":
            return _time(raw, micro=kind == "u")
        case "q":
            return next((v.decode() for n, v in _fields(raw) if n == 1 and isinstance(v, bytes)), "")
        case "x":
            return _int_or_string(raw)
        case _:
            return _message(raw, MESSAGES[kind], depth + 1)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _time(raw: bytes, micro: bool) -> str | None:
    parts = {number: value for number, value in _fields(raw) if isinstance(value, int)}
    if not parts:
        return None
    try:
        moment = datetime.datetime.fromtimestamp(_signed(parts.get(1, 0)), datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return None
    if micro:
        return moment.replace(microsecond=parts.get(2, 0) // 1000 % 1_000_000).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment.year > 1 else None


def _int_or_string(raw: bytes) -> int | str:
    parts = dict(_fields(raw))
    if parts.get(1, 0) == 1:
        text = parts.get(3, b"")
        return text.decode() if isinstance(text, bytes) else ""
    number = parts.get(2, 0)
    return _signed(number) if isinstance(number, int) else 0
