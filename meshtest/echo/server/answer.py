"""What an echo answers: pure functions from a request and its controls to status, headers and body.

Controls come as query parameters (`?delay=1s&codes=500:90,200:10`) or as request headers (`echo-delay: 1s`), which
gRPC has too. The parameter wins over the header.
"""

from __future__ import annotations

import random
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import orjson

from meshtest.echo.server.options import Options

Headers = Sequence[tuple[str, str]]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class BadControl(ValueError):
    """A control that the echo cannot obey; answered with 400 and the text."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived."""

    protocol: str
    method: str = ""
    path: str = ""
    query: str = ""
    authority: str = ""
    headers: Headers = ()
    body: str = ""
    source: tuple[str, int] = ("", 0)
    destination: tuple[str, int] = ("", 0)
    tls: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Controls:
    """What the caller asked the echo to do."""

    delay: float = 0.0
    codes: tuple[tuple[int, float], ...] = ()
    attempts: tuple[int, ...] = ()
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send, after `delay` seconds."""

    status: int
    body: bytes
    headers: Headers = ()
    delay: float = 0.0


@dataclass(slots=True)
class Attempts:
    """Counts how often a request id came by, so that a retry can be told from a first attempt. Forgets the oldest."""

    limit: int = 10_000
    _counts: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def count(self, request_id: str) -> int:
        """1 for the first time."""
        seen = self._counts.pop(request_id, 0) + 1
        self._counts[request_id] = seen
        if len(self._counts) > self.limit:
            self._counts.popitem(last=False)
        return seen

    def seen(self, request_id: str) -> int:
        """How often the id came by."""
        return self._counts.get(request_id, 0)


def duration(text: str) -> float:
    """Seconds of `1s`, `1.5s`, `20ms`, `1m30s`."""
    parts = _DURATION.findall(text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise BadControl(f"delay {text!r}: expected a duration such as 1s, 250ms or 1m30s")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def parse_codes(text: str) -> tuple[tuple[int, float], ...]:
    """`500:90,200:10` or `503`: codes with their weights."""
    pairs = []
    for part in text.split(","):
        code, _, weight = part.strip().partition(":")
        try:
            pairs.append((int(code), float(weight or 1)))
        except ValueError:
            raise BadControl(f"codes {text!r}: expected CODE:WEIGHT,…, such as 500:90,200:10") from None
    return tuple(pairs)


def parse_controls(query: str, headers: Headers) -> Controls:
    """The controls of a request; unknown parameters are left alone."""
    values = {k.lower().removeprefix("echo-"): v for k, v in headers if k.lower().startswith("echo-")}
    if query:
        values.update({k: v[-1] for k, v in parse_qs(query).items()})
    if not values:
        return Controls()
    extra = [part.partition(":") for part in values.get("headers", "").split(",") if part]
    return Controls(
        delay=duration(values["delay"]) if values.get("delay") else 0.0,
        codes=parse_codes(values["codes"]) if values.get("codes") else (),
        attempts=tuple(code for code, _ in parse_codes(values["attempts"])) if values.get("attempts") else (),
        headers=tuple((k.strip(), v.strip()) for k, _, v in extra),
    )


def choose_status(controls: Controls, attempt: int, draw: Callable[[], float] = random.random) -> int:
    """The status to answer: by attempt, else by weight, else 200. `draw` gives a number in [0, 1)."""
    if controls.attempts:
        return controls.attempts[min(attempt, len(controls.attempts)) - 1]
    if not controls.codes:
        return 200
    left = draw() * sum(weight for _, weight in controls.codes)
    for code, weight in controls.codes:
        left -= weight
        if left < 0:
            return code
    return controls.codes[-1][0]


def split_xfcc(value: str, separator: str) -> Iterable[str]:
    """Parts of an x-forwarded-client-cert header; separators inside double quotes do not count."""
    part: list[str] = []
    quoted = escaped = False
    for char in value:
        if char == separator and not quoted:
            yield "".join(part)
            part = []
            continue
        if char == '"' and not escaped:
            quoted = not quoted
        escaped = char == "\\" and not escaped
        part.append(char)
    yield "".join(part)


def identity_of(headers: Headers) -> str | None:
    """The SPIFFE identity of the nearest client in the XFCC header, or None where no proxy told."""
    values = [v for k, v in headers if k.lower() == "x-forwarded-client-cert"]
    if not values:
        return None
    nearest = list(split_xfcc(values[-1], ","))[-1]
    for part in split_xfcc(nearest, ";"):
        key, _, value = part.partition("=")
        if key.strip().lower() == "uri":
            return value.strip('"')
    return None


def first_header(headers: Headers, name: str) -> str:
    """The first value of a header, by its lower-case name; empty when absent."""
    return next((v for k, v in headers if k.lower() == name), "")


def describe(options: Options, seen: Seen, attempt: int) -> dict[str, Any]:
    """The echo's body as JSON data."""
    return {
        "hostname": options.hostname,
        "version": options.version,
        "cluster": options.cluster,
        "namespace": options.namespace,
        "service": options.service,
        "pod": options.hostname,
        "protocol": seen.protocol,
        "method": seen.method,
        "path": seen.path,
        "query": seen.query,
        "authority": seen.authority,
        "headers": [list(pair) for pair in seen.headers],
        "body": seen.body,
        "source": {"address": seen.source[0], "port": seen.source[1]},
        "destination": {"address": seen.destination[0], "port": seen.destination[1]},
        "tls": seen.tls,
        "identity": identity_of(seen.headers),
        "attempt": attempt,
    }


class Answerer:
    """Turns what was seen into an answer. Holds who we are and the attempts counted so far."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._attempts = Attempts()

    def arrivals(self, request_ids: Iterable[str]) -> dict[str, int]:
        """How often each of these requests arrived here, for those that did; mirrored ones count too."""
        return {each: count for each in request_ids if (count := self._attempts.seen(each))}

    def answer(self, seen: Seen) -> Answer:
        """Never raises: a control that cannot be obeyed is answered with 400."""
        if seen.path == "/healthz":
            return Answer(200, b"ok\n", [("content-type", "text/plain")])
        try:
            controls = parse_controls(seen.query, seen.headers)
        except BadControl as bad:
            return Answer(400, f"{bad}\n".encode(), [("content-type", "text/plain")])
        request_id = first_header(seen.headers, "x-request-id")
        attempt = self._attempts.count(request_id) if request_id else 1
        body = orjson.dumps(describe(self.options, seen, attempt))
        headers = [("content-type", "application/json"), *controls.headers]
        return Answer(choose_status(controls, attempt), body, headers, controls.delay)
