"""Watch streams: JSON documents, one a line, of any length."""

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from kubeclient.errors import ApiError
from kubeclient.resources import Obj


@dataclass(frozen=True, slots=True)
class Event:
    """`type` is ADDED, MODIFIED, DELETED or BOOKMARK; `old` is what an informer knew before (None from a bare
    watch).
    """

    type: str
    obj: Obj
    old: Obj | None = None


class LineSplitter:
    """Cuts a byte stream into lines; a line of many chunks is joined once, so that objects of megabytes stay linear."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that `data` completes, without their line feeds."""
        first, *rest = data.split(b"\n")
        self._parts.append(first)
        for part in rest:
            line = b"".join(self._parts)
            self._parts = [part]
            if line:
                yield line


def parse_event(line: bytes, call: str = "watch") -> Event:
    """The event of one line. Raises ApiError for an ERROR event, which carries a Status (410 when the version is too
    old).
    """
    raw = orjson.loads(line)
    if raw["type"] == "ERROR":
        status = raw["object"]
        raise ApiError(
            int(status.get("code") or 500),
            str(status.get("reason") or ""),
            str(status.get("message") or ""),
            status,
            call,
        )
    return Event(raw["type"], raw["object"])
