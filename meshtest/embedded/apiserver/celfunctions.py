"""Kubernetes' additions to CEL that the library lacks.

https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-cel-libraries
"""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from . import patterns


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _is_cidr(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def _is_url(text: str) -> bool:
    parts = urlsplit(text)
    return bool(parts.scheme) or text.startswith("/")


def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    return text.split(separator, limit - 1 if limit > 0 else -1)


def _substring(text: str, start: int, end: int | None = None) -> str:
    return text[start:end]


_FUNCTIONS = {
    "isIP": _is_ip,
    "isCIDR": _is_cidr,
    "isURL": _is_url,
    "split": _split,
    "substring": _substring,
    "find": lambda text, pattern: patterns.find(pattern, text),
    "lowerAscii": lambda text: text.lower(),
    "upperAscii": lambda text: text.upper(),
    "trim": lambda text: text.strip(),
    "replace": lambda text, old, new: text.replace(old, new),
    "indexOf": lambda text, part: text.find(part),
    "lastIndexOf": lambda text, part: text.rfind(part),
    "join": lambda items, separator="": separator.join(items),
    "isSorted": lambda items: list(items) == sorted(items),
    "sum": lambda items: sum(items),
}


def add(context: Any) -> None:
    """Make them known to a context."""
    for name, function in _FUNCTIONS.items():
        context.add_function(name, function)
