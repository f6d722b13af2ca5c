"""How tables write times, selectors and labels."""

from __future__ import annotations

import calendar
import time
from typing import Any

import orjson

Obj = dict[str, Any]
NONE = "<none>"


def seconds_of(timestamp: str) -> float:
    return calendar.timegm(time.strptime(timestamp[:19], "%Y-%m-%dT%H:%M:%S"))


def duration(seconds: float) -> str:
    """As kubectl writes ages: 90s, 5m30s, 3h, 2d4h."""
    seconds = int(seconds)
    if seconds < 0:
        return "0s"
    if seconds < 120:
        return f"{seconds}s"
    minutes = seconds // 60
    if minutes < 10:
        return f"{minutes}m" + (f"{seconds % 60}s" if seconds % 60 else "")
    if minutes < 180:
        return f"{minutes}m"
    hours = minutes // 60
    if hours < 8:
        return f"{hours}h" + (f"{minutes % 60}m" if minutes % 60 else "")
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if hours < 192:
        return f"{days}d" + (f"{hours % 24}h" if hours % 24 else "")
    return f"{days}d" if days < 730 else f"{days // 365}y"


def age_of(timestamp: str | None) -> str:
    if not timestamp:
        return "<unknown>"
    try:
        return duration(time.time() - seconds_of(timestamp))
    except ValueError:
        return "<invalid>"


def age(obj: Obj) -> str:
    return age_of(obj["metadata"].get("creationTimestamp"))


def compact(value: Any) -> str:
    return orjson.dumps(value).decode()


def selector_text(selector: Obj | None) -> str:
    """A LabelSelector as one line."""
    if not selector:
        return NONE
    parts = [f"{k}={v}" for k, v in sorted((selector.get("matchLabels") or {}).items())]
    words = {"In": "in", "NotIn": "notin"}
    for each in selector.get("matchExpressions") or []:
        if each["operator"] in words:
            parts.append(f"{each['key']} {words[each['operator']]} ({','.join(sorted(each.get('values') or []))})")
        else:
            parts.append(("!" if each["operator"] == "DoesNotExist" else "") + each["key"])
    return ",".join(parts) or NONE


def labels_text(labels: Obj | None) -> str:
    return ",".join(f"{k}={v}" for k, v in sorted((labels or {}).items())) or NONE
