"""String formats that a schema may ask for; an unknown one accepts everything."""

from __future__ import annotations

import base64
import binascii
import datetime
import ipaddress
import re
import uuid
from collections.abc import Callable
from urllib.parse import urlsplit

_HOSTNAME = re.compile(
    r"^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$"
)
_DURATION = re.compile(r"^[-+]?((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$|^[-+]?0$")
_EMAIL = re.compile(r"^[^@\s]+@[^@\s]+$")


def _date_time(text: str) -> bool:
    datetime.datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
    return "T" in text.upper()


def _date(text: str) -> bool:
    datetime.date.fromisoformat(text)
    return True


def _ip(version: int | None) -> Callable[[str], bool]:
    return lambda text: version in (None, ipaddress.ip_address(text).version)


def _cidr(text: str) -> bool:
    ipaddress.ip_interface(text)
    return "/" in text


def _uri(text: str) -> bool:
    parts = urlsplit(text)
    return bool(parts.scheme) or text.startswith("/")


def _byte(text: str) -> bool:
    base64.b64decode(text, validate=True)
    return True


def _uuid(text: str) -> bool:
    uuid.UUID(text)
    return True


_CHECKS: dict[str, Callable[[str], bool]] = {
    "date-time": _date_time,
    "datetime": _date_time,
    "date": _date,
    "ipv4": _ip(4),
    "ipv6": _ip(6),
    "ip": _ip(None),
    "cidr": _cidr,
    "uri": _uri,
    "byte": _byte,
    "uuid": _uuid,
    "hostname": lambda text: len(text) <= 253 and _HOSTNAME.match(text) is not None,
    "duration": lambda text: _DURATION.match(text) is not None,
    "email": lambda text: _EMAIL.match(text) is not None,
}


def is_valid(name: str, text: str) -> bool:
    check = _CHECKS.get(name)
    if check is None:
        return True
    try:
        return check(text)
    except (ValueError, binascii.Error):
        return False
