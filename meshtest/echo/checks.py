"""Checks: statements about all responses of a call. Pure; each says how many requests it needs.

Codes and headers read the same over every protocol: `status(503)` is UNAVAILABLE over gRPC, and headers are metadata.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from meshtest.echo import statistics
from meshtest.echo.responses import Response, tally

# How proxies and libraries translate: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
GRPC_OF_HTTP = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}


EARLY = 0.01
"""Seconds. Envoy counts from the start of its event loop's turn, so that a timer may fire a few milliseconds early."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a check failed; `offending` is a response to look at more closely."""

    expected: str
    got: str
    offending: Response | None = None


class Check(Protocol):
    """A statement that holds or fails."""

    @property
    def count(self) -> int:
        """The requests that it needs, at least 1."""

    @property
    def text(self) -> str:
        """What is expected."""

    @property
    def statistical(self) -> bool:
        """Whether fewer requests than `count` would make the verdict unsound."""

    def judge(self, responses: Sequence[Response]) -> Finding | None:
        """None when the statement holds."""


@dataclass(frozen=True, slots=True)
class Every:
    """Each response alone must satisfy `holds`; `look` is what the message shows of them."""

    text: str
    holds: Callable[[Response], bool]
    look: Callable[[Response], object]
    count: int = 1
    statistical: bool = False

    def judge(self, responses: Sequence[Response]) -> Finding | None:
        wrong = [each for each in responses if not self.holds(each)]
        if wrong:
            return Finding(self.text, tally(responses, self.look), wrong[0])
        return None if responses else Finding(self.text, "no response at all")


def is_ok(response: Response) -> bool:
    """No error, and a 2xx (or WebSocket's 101), gRPC's OK, or a line over TCP."""
    if response.error:
        return False
    if response.grpc_status is not None:
        return response.grpc_status == 0
    return response.status is None or 200 <= response.status < 300 or response.status == 101


def ok() -> Check:
    """Every request succeeded."""
    return Every("every request to succeed", is_ok, lambda each: each.outcome)


def status(code: int) -> Check:
    """Every response has this HTTP status; over gRPC the code that it stands for."""
    grpc_code = 0 if 200 <= code < 300 else GRPC_OF_HTTP.get(code, 2)

    def holds(response: Response) -> bool:
        if response.grpc_status is not None:
            return response.grpc_status == grpc_code
        return response.status == code

    return Every(f"status {code} (gRPC: {grpc_code})", holds, lambda each: each.outcome)


def grpc_status(code: int) -> Check:
    """Every response has this gRPC status."""
    return Every(f"gRPC status {code}", lambda each: each.grpc_status == code, lambda each: each.outcome)


def error_contains(text: str) -> Check:
    """No request got a response, and the error says `text`."""
    return Every(f"an error that contains {text!r}", lambda each: text in each.error, lambda each: each.outcome)


def error_kind(*kinds: str) -> Check:
    """No request got a response, for one of these reasons (Response.error_kind)."""
    return Every(f"an error of kind {' or '.join(kinds)}", lambda each: each.error_kind in kinds, lambda e: e.outcome)


def body(text: str) -> Check:
    """The whole body."""
    return Every(f"body {text!r}", lambda each: each.body == text, lambda each: each.body)


def body_contains(text: str) -> Check:
    """The body somewhere says `text`."""
    return Every(f"a body that contains {text!r}", lambda each: text in each.body, lambda each: each.body)


def request_header(name: str, value: str | None) -> Check:
    """The header that arrived at the echo; None: it did not arrive. Repeated ones are joined with a comma."""
    return _header("request header", name, value, lambda each: each.request_header_values(name))


def response_header(name: str, value: str | None) -> Check:
    """The header that came back; None: it did not. Repeated ones are joined with a comma."""
    return _header("response header", name, value, lambda each: each.header_values(name))


def _header(what: str, name: str, value: str | None, values: Callable[[Response], list[str]]) -> Check:
    def look(response: Response) -> str | None:
        found = values(response)
        return ",".join(found) if found else None

    expected = f"{what} {name}: {value}" if value is not None else f"no {what} {name}"
    return Every(
        expected,
        lambda each: look(each) == value,
        lambda each: f"{name}: {found}" if (found := look(each)) is not None else f"no {name} ({each.outcome})",
    )


def path(value: str) -> Check:
    """The path that arrived at the echo, without query."""
    return Every(f"path {value}", lambda each: each.path == value, lambda each: each.path or each.outcome)


def authority(value: str) -> Check:
    """Host or :authority that arrived; a port in it counts only if `value` has one."""

    def holds(response: Response) -> bool:
        return value in (response.authority, response.authority.rpartition(":")[0])

    return Every(f"authority {value}", holds, lambda each: each.authority or each.outcome)


def protocol(value: str) -> Check:
    """The protocol that arrived at the echo: HTTP/1.0, HTTP/1.1, HTTP/2, gRPC, TCP or WebSocket."""
    return Every(
        f"protocol {value}",
        lambda each: each.echo.get("protocol") == value,
        lambda each: each.echo.get("protocol") or each.outcome,
    )


def service(name: str) -> Check:
    """The echo that answered, by its name."""
    return Every(f"answers of {name}", lambda each: each.service == name, lambda each: each.service or each.outcome)


def identity(spiffe: str) -> Check:
    """The client's identity, as the server's proxy told it."""
    return Every(
        f"client identity {spiffe}",
        lambda each: each.identity == spiffe,
        lambda each: each.identity or f"no identity ({each.outcome})",
    )


def mtls() -> Check:
    """The server's proxy vouches for the client's SPIFFE identity."""
    return Every(
        "mutual TLS",
        lambda each: (each.identity or "").startswith("spiffe://"),
        lambda each: each.identity or f"no identity ({each.outcome})",
    )


def plaintext() -> Check:
    """A response, and no client identity."""
    return Every(
        "plaintext",
        lambda each: bool(each.echo) and each.identity is None,
        lambda each: each.identity or f"no identity ({each.outcome})",
    )


def attempts(number: int) -> Check:
    """The answering pod had seen each request this often."""
    return Every(f"{number} attempts", lambda each: each.attempt == number, lambda each: f"{each.attempt} attempts")


def took(at_least: float = 0.0, at_most: float = float("inf")) -> Check:
    """Every request took this long, in seconds; proxies' timers may be early by up to `EARLY`."""
    return Every(
        f"a duration between {at_least} s and {at_most} s",
        lambda each: at_least - EARLY <= each.duration <= at_most,
        lambda each: f"{each.duration:.2f} s",
    )


def where(text: str, holds: Callable[[Response], bool], look: Callable[[Response], object] = str) -> Check:
    """A statement of one's own about each response."""
    return Every(text, holds, look)


def by_version(response: Response) -> str:
    """What `split` and `reached` tell apart by default: the answering version, else what came instead."""
    return response.version or response.outcome


def by_hostname(response: Response) -> str:
    """Tell pods apart."""
    return response.hostname or response.outcome


def by_ok(response: Response) -> str:
    """Tell "ok" from anything else, by its outcome."""
    return "ok" if is_ok(response) else response.outcome


def by_status(response: Response) -> str:
    """Tell statuses apart: "200"; over gRPC the HTTP statuses are "200" and "grpc-<code>"."""
    if response.grpc_status is not None:
        return "200" if response.grpc_status == 0 else f"grpc-{response.grpc_status}"
    return str(response.status) if response.status is not None else response.outcome


@dataclass(frozen=True, slots=True)
class Split:
    """Shares of the values of `look`; anything that has no share must not come at all."""

    plan: statistics.SplitPlan
    look: Callable[[Response], str]
    deviation: float
    statistical: bool = True

    @property
    def count(self) -> int:
        return self.plan.count

    @property
    def text(self) -> str:
        shares = ", ".join(f"{name} {share:.1%}" for name, share in self.plan.shares)
        return f"split {shares} (± {self.deviation:.0%} is noticed)"

    def judge(self, responses: Sequence[Response]) -> Finding | None:
        seen = [self.look(each) for each in responses]
        known = dict(self.plan.shares)
        counts = {name: seen.count(name) for name in {**known, **dict.fromkeys(seen, 0.0)}}
        strangers = [name for name in counts if name not in known]
        outside = self.plan.outside(counts)
        if not strangers and not outside:
            return None
        bounds = "; ".join(f"{name} {low} to {high}" for name, _, low, high in outside)
        got = ", ".join(f"{name} {count} ({count / len(seen):.1%})" for name, count in counts.items()) or "nothing"
        suspects = strangers or [name for name, count, _, high in outside if count > high]
        offending = next((each for each, value in zip(responses, seen, strict=True) if value in suspects), None)
        expected = f"{self.text}; of {len(seen)} requests {bounds}" if bounds else self.text
        return Finding(expected, got, offending)


def split(
    weights: Mapping[str, float], *, by: Callable[[Response], str] = by_version, deviation: float = statistics.DEVIATION
) -> Check:
    """Requests divide in proportion to `weights`; `deviation` is the smallest error of a share that must be noticed."""
    return Split(statistics.plan_split(weights, deviation), by, deviation)


@dataclass(frozen=True, slots=True)
class Reached:
    """Exactly these values of `look` come, each at least once."""

    names: frozenset[str]
    look: Callable[[Response], str]
    count: int
    statistical: bool

    @property
    def text(self) -> str:
        return f"to reach {', '.join(sorted(self.names))} and nothing else"

    def judge(self, responses: Sequence[Response]) -> Finding | None:
        seen = {self.look(each) for each in responses}
        if seen == self.names:
            return None
        offending = next((each for each in responses if self.look(each) not in self.names), None)
        return Finding(self.text, tally(responses, self.look), offending or (responses[0] if responses else None))


def reached(
    names: Collection[str] | str, *, by: Callable[[Response], str] = by_version, share: float | None = None
) -> Check:
    """Exactly these versions answer. share: the smallest that one of them gets, default an even one.

    For a single name as many requests are sent as notice with 0.999 that every second one goes astray.
    """
    wanted = frozenset([names] if isinstance(names, str) else names)
    if not wanted:
        raise ValueError("reached(): expected at least one name")
    several = len(wanted) > 1
    count = statistics.needed_to_meet(len(wanted), share) if several else statistics.needed_to_notice(0.5)
    return Reached(wanted, by, count, several)


@dataclass(frozen=True, slots=True)
class Combined:
    """Several checks as one."""

    word: str
    checks: tuple[Check, ...]
    decide: Callable[[tuple[Check, ...], Sequence[Response]], Finding | None]

    @property
    def count(self) -> int:
        return max((check.count for check in self.checks), default=1)

    @property
    def statistical(self) -> bool:
        return any(check.statistical for check in self.checks)

    @property
    def text(self) -> str:
        return f" {self.word} ".join(check.text for check in self.checks)

    def judge(self, responses: Sequence[Response]) -> Finding | None:
        return self.decide(self.checks, responses)


def all_of(*checks: Check) -> Check:
    """Every check holds; the message has each that does not."""

    def decide(checks: tuple[Check, ...], responses: Sequence[Response]) -> Finding | None:
        found = [finding for check in checks if (finding := check.judge(responses)) is not None]
        if len(found) < 2:
            return found[0] if found else None
        offending = next((finding.offending for finding in found if finding.offending), None)
        got = dict.fromkeys(f.got for f in found)  # two checks of one outcome say the same
        return Finding("; ".join(f.expected for f in found), "; ".join(got), offending)

    return Combined("and", checks, decide)


def any_of(*checks: Check) -> Check:
    """One check holds, for all responses together; `each(any_of(…))` decides for each response."""

    def decide(checks: tuple[Check, ...], responses: Sequence[Response]) -> Finding | None:
        found = [check.judge(responses) for check in checks]
        failed = [finding for finding in found if finding is not None]
        if len(failed) < len(found):
            return None
        return Finding(" or ".join(f.expected for f in failed), "; ".join(f.got for f in failed), failed[0].offending)

    return Combined("or", checks, decide)


def not_(check: Check) -> Check:
    """The check fails."""

    def decide(checks: tuple[Check, ...], responses: Sequence[Response]) -> Finding | None:
        if checks[0].judge(responses) is not None:
            return None
        first = responses[0] if responses else None
        return Finding(f"not: {checks[0].text}", tally(responses, lambda each: each.outcome), first)

    return Combined("not", (check,), decide)


def each(check: Check) -> Check:
    """The check holds for every response alone."""

    def decide(checks: tuple[Check, ...], responses: Sequence[Response]) -> Finding | None:
        for response in responses:
            finding = checks[0].judge([response])
            if finding is not None:
                return Finding(f"each: {finding.expected}", finding.got, response)
        return None

    return Combined("each", (check,), decide)


def matches(pattern: str, look: Callable[[Response], str], what: str = "value") -> Check:
    """`look` of each response matches the regular expression in whole."""
    compiled = re.compile(pattern)
    return Every(f"{what} to match {pattern}", lambda r: compiled.fullmatch(look(r)) is not None, look)
