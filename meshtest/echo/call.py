"""Call: what is to be sent, sent when somebody wants to know the outcome."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshtest.echo.checks import Check, Finding
from meshtest.echo.responses import Response, Responses, parse_response
from meshtest.echo.trace import way_of
from meshtest.framework import unsent
from meshtest.framework.errors import AuthorError
from meshtest.framework.manifests import author

if TYPE_CHECKING:
    from meshtest.echo.instance import Echo

SLACK = 5.0
"""Seconds that a whole call may take beyond what its requests may."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The call's options, as the control endpoint takes them, apart from the count (meshtest.echo.server.calls)."""

    scheme: str
    host: str
    port: int
    path: str
    method: str
    headers: tuple[tuple[str, str], ...]
    concurrency: int
    timeout: float
    options: Mapping[str, Any]

    def spec(self, count: int) -> dict[str, Any]:
        """JSON for the control endpoint."""
        return {
            "scheme": self.scheme,
            "host": self.host,
            "port": self.port,
            "path": self.path,
            "method": self.method,
            "headers": self.headers,
            "concurrency": self.concurrency,
            "timeout": self.timeout,
            "count": count,
            **self.options,
        }

    def deadline(self, count: int) -> float:
        """Seconds in which a call of `count` requests has ended, come what may."""
        rounds = -(-count // max(1, self.concurrency))
        return rounds * self.timeout + SLACK

    def __str__(self) -> str:
        headers = "".join(f" {k}: {v}" for k, v in self.headers)
        options = "".join(f" {k}={v}" for k, v in self.options.items())
        method = f"{self.method} " if self.scheme in ("http", "https", "http2") else ""
        return f"{method}{self.scheme}://{self.host}:{self.port}{self.path}{headers}{options}"


class Call:
    """A call from one echo. It is sent on the first check(), iteration or look at `responses`, and only once, unless a
    check needs more requests than were sent: then it is sent anew, in whole, with as many as that check needs.

    A call that nobody looks at while its test body runs fails that test (meshtest.framework.unsent). `origin` is the
    author's line.
    """

    def __init__(self, source: Echo, plan: Plan, target: Echo | None, count: int | None) -> None:
        self._source, self._plan, self._target, self._count = source, plan, target, count
        self._responses: Responses | None = None
        self.origin, self.looked_at = author(), False
        unsent.note(self)

    @property
    def responses(self) -> Responses:
        """All responses; sends `count` requests, default 1, if nothing has been sent yet."""
        return self._sent(self._count or 1)

    def check(self, *checks: Check) -> Responses:
        """Send what the checks need and check it; the responses.

        Errors: AssertionError with expected, got, and the way of one offending request; AuthorError when the call's own
        count is smaller than a statistical check needs.
        """
        self.looked_at = True
        for check in checks:
            if self._count is not None and check.statistical and self._count < check.count:
                raise AuthorError(
                    f"{self}: count={self._count}, but the check needs {check.count} requests to be sound: "
                    f"{check.text}; hint: leave count out"
                )
        responses = self._sent(self._count or max((check.count for check in checks), default=1))
        for check in checks:
            finding = check.judge(responses)
            if finding is not None:
                raise AssertionError(self._message(finding, responses))
        return responses

    def __iter__(self) -> Iterator[Response]:
        return iter(self.responses)

    def __len__(self) -> int:
        return len(self.responses)

    def __getitem__(self, index: int) -> Response:
        return self.responses[index]

    def __str__(self) -> str:
        to = self._target.name if self._target else self._plan.host
        return f"{self._source.name} → {to}: {self._plan}"

    def _sent(self, count: int) -> Responses:
        self.looked_at = True
        if self._responses is None or len(self._responses) < count:
            data = self._source.ask(self._plan.spec(count), self._plan.deadline(count))
            self._responses = Responses([parse_response(each) for each in data])
        return self._responses

    def _message(self, finding: Finding, responses: Sequence[Response]) -> str:
        lines = [
            f"{self} ({len(responses)} request{'' if len(responses) == 1 else 's'})",
            f"  expected: {finding.expected}",
            f"  got:      {finding.got}",
        ]
        if finding.offending is not None:
            lines.append(f"  one of them: {finding.offending}")
            source, targets = self._source.reference(), self._target.references() if self._target else []
            way = way_of(finding.offending, source, targets, self._source.mesh)
            lines.extend(f"    {line}" for line in way.splitlines())
        return "\n".join(lines)
