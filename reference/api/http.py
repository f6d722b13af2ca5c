# ruff: noqa: RUF009 - `spec` declares a field; its defaults are immutable
"""The HTTP part of VirtualService (`networking.istio.io/v1`, message HTTPRoute and what it holds)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from reference.api import checks
from reference.api.errors import Errors
from reference.api.kinds import (
    BOOL,
    INT32,
    PORT,
    TEXT,
    TEXT_MAP,
    TEXTS,
    UINT32,
    Duration,
    Integer,
    Many,
    MapOf,
    Number,
    OneOfNames,
    Text,
)
from reference.api.message import Message, OneOf, Sub, one_of, spec

PERCENT = Number(0, 100)
_LINE = Text((checks.one_line,))


@dataclass(frozen=True, slots=True)
class Percent(Message):
    value: float = spec(PERCENT, default=0.0)


@dataclass(frozen=True, slots=True)
class StringMatch(Message):
    ONE_OF: ClassVar[tuple[OneOf, ...]] = (one_of("exact", "prefix", "regex"),)
    exact: str | None = spec(TEXT)
    prefix: str | None = spec(Text((checks.not_empty,)))
    regex: str | None = spec(Text((checks.regex,)))

    @property
    def is_any(self) -> bool:
        """Nothing given: matches whatever is present."""
        return self.exact is None and self.prefix is None and self.regex is None


@dataclass(frozen=True, slots=True)
class HTTPMatchRequest(Message):
    name: str | None = spec(TEXT)
    uri: StringMatch | None = spec(Sub(StringMatch))
    scheme: StringMatch | None = spec(Sub(StringMatch))
    method: StringMatch | None = spec(Sub(StringMatch))
    authority: StringMatch | None = spec(Sub(StringMatch))
    headers: Mapping[str, StringMatch] = spec(MapOf(Sub(StringMatch)))
    port: int | None = spec(PORT)
    source_labels: Mapping[str, str] = spec(TEXT_MAP)
    gateways: tuple[str, ...] = spec(TEXTS)
    query_params: Mapping[str, StringMatch] = spec(MapOf(Sub(StringMatch)))
    ignore_uri_case: bool = spec(BOOL, default=False)
    without_headers: Mapping[str, StringMatch] = spec(MapOf(Sub(StringMatch)))
    source_namespace: str | None = spec(TEXT)
    stat_prefix: str | None = spec(TEXT)

    def check(self, at: str, errors: Errors) -> None:
        for json, names in (("headers", self.headers), ("withoutHeaders", self.without_headers)):
            for name in names:
                expected = checks.header_name(name)
                if expected and name not in (":authority", ":method", ":path", ":scheme"):
                    errors.add(f"{at}.{json}[{name}]", expected, name)
        for name in ("uri", "scheme", "method", "authority"):
            given: StringMatch | None = getattr(self, name)
            if given is not None and given.is_any:
                errors.add(f"{at}.{name}", "exactly one of exact, prefix, regex", None)
        for name, match in self.query_params.items():
            if match.prefix is not None:
                continue
            if not name:
                errors.add(f"{at}.queryParams", "a parameter's name", name)

    @property
    def has_regex(self) -> bool:
        single = (self.uri, self.scheme, self.method, self.authority)
        many = (*self.headers.values(), *self.without_headers.values(), *self.query_params.values())
        return any(match is not None and match.regex is not None for match in (*single, *many))


@dataclass(frozen=True, slots=True)
class HeaderOperations(Message):
    set: Mapping[str, str] = spec(TEXT_MAP)
    add: Mapping[str, str] = spec(TEXT_MAP)
    remove: tuple[str, ...] = spec(TEXTS)

    def check(self, at: str, errors: Errors) -> None:
        for json, names in (("set", self.set), ("add", self.add), ("remove", self.remove)):
            for name in names:
                expected = checks.settable_header(name)
                if expected:
                    errors.add(f"{at}.{json}[{name}]", expected, name)
        for json, values in (("set", self.set), ("add", self.add)):
            for name, value in values.items():
                expected = checks.header_value(value)
                if expected:
                    errors.add(f"{at}.{json}[{name}]", expected, value)


@dataclass(frozen=True, slots=True)
class Headers(Message):
    request: HeaderOperations | None = spec(Sub(HeaderOperations))
    response: HeaderOperations | None = spec(Sub(HeaderOperations))


@dataclass(frozen=True, slots=True)
class PortSelector(Message):
    number: int | None = spec(PORT)


@dataclass(frozen=True, slots=True)
class Destination(Message):
    host: str = spec(Text((checks.wildcard_host,)), required=True, default="")
    subset: str | None = spec(Text((checks.dns_label,)))
    port: PortSelector | None = spec(Sub(PortSelector))


@dataclass(frozen=True, slots=True)
class HTTPRouteDestination(Message):
    destination: Destination = spec(Sub(Destination), required=True, default=Destination())
    weight: int = spec(INT32, default=0)
    headers: Headers | None = spec(Sub(Headers))


@dataclass(frozen=True, slots=True)
class HTTPRedirect(Message):
    ONE_OF: ClassVar[tuple[OneOf, ...]] = (one_of("port", "derivePort"),)
    uri: str | None = spec(_LINE)
    authority: str | None = spec(_LINE)
    port: int | None = spec(PORT)
    derive_port: str | None = spec(OneOfNames(("FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT")))
    scheme: str | None = spec(OneOfNames(("http", "https")))
    redirect_code: int | None = spec(Integer(301, 308))

    def check(self, at: str, errors: Errors) -> None:
        if self == HTTPRedirect() or self == HTTPRedirect(redirect_code=self.redirect_code):
            errors.add(at, "at least one of uri, authority, port, derivePort, scheme", None)
        if self.redirect_code in (304, 305, 306):
            errors.add(f"{at}.redirectCode", "one of 301, 302, 303, 307, 308", self.redirect_code)


@dataclass(frozen=True, slots=True)
class HTTPBody(Message):
    ONE_OF: ClassVar[tuple[OneOf, ...]] = (one_of("string", "bytes"),)
    string: str | None = spec(Text(max_length=1_048_576))
    bytes: str | None = spec(Text((checks.base64_text,)))


@dataclass(frozen=True, slots=True)
class HTTPDirectResponse(Message):
    status: int = spec(Integer(200, 599), required=True, default=200)
    body: HTTPBody | None = spec(Sub(HTTPBody))


@dataclass(frozen=True, slots=True)
class RegexRewrite(Message):
    match: str = spec(Text((checks.regex,)), required=True, default="")
    rewrite: str = spec(_LINE, default="")


@dataclass(frozen=True, slots=True)
class HTTPRewrite(Message):
    uri: str | None = spec(_LINE)
    authority: str | None = spec(_LINE)
    uri_regex_rewrite: RegexRewrite | None = spec(Sub(RegexRewrite))

    def check(self, at: str, errors: Errors) -> None:
        if self == HTTPRewrite():
            errors.add(at, "at least one of uri, authority, uriRegexRewrite", None)
        if self.uri is not None and self.uri_regex_rewrite is not None:
            errors.add(at, "at most one of uri, uriRegexRewrite", "uri, uriRegexRewrite")


@dataclass(frozen=True, slots=True)
class HTTPRetry(Message):
    attempts: int = spec(INT32, default=0)
    per_try_timeout: float | None = spec(Duration(0))
    retry_on: str | None = spec(Text((checks.retry_on,)))
    retry_remote_localities: bool | None = spec(BOOL)
    retry_ignore_previous_hosts: bool | None = spec(BOOL)
    backoff: float | None = spec(Duration())

    def check(self, at: str, errors: Errors) -> None:
        if self.attempts == 0 and (self.per_try_timeout is not None or self.retry_on is not None):
            errors.add(f"{at}.attempts", "at least 1 attempt", 0, "0 switches retries off: leave out the other fields")


@dataclass(frozen=True, slots=True)
class FaultDelay(Message):
    ONE_OF: ClassVar[tuple[OneOf, ...]] = (one_of("fixedDelay", "exponentialDelay"),)
    percent: int | None = spec(Integer(0, 100))
    fixed_delay: float | None = spec(Duration())
    exponential_delay: float | None = spec(Duration())
    percentage: Percent | None = spec(Sub(Percent))

    def check(self, at: str, errors: Errors) -> None:
        if self.fixed_delay is None:
            errors.add(f"{at}.fixedDelay", "a duration: the field is required", None)


@dataclass(frozen=True, slots=True)
class FaultAbort(Message):
    ONE_OF: ClassVar[tuple[OneOf, ...]] = (one_of("httpStatus", "grpcStatus", "http2Error", required=True),)
    http_status: int | None = spec(Integer(200, 599))
    grpc_status: str | None = spec(Text((checks.grpc_status,)))
    http2_error: str | None = spec(TEXT)
    percentage: Percent | None = spec(Sub(Percent))

    def check(self, at: str, errors: Errors) -> None:
        if self.http2_error is not None:
            errors.add(f"{at}.http2Error", "httpStatus or grpcStatus", self.http2_error, "not implemented, as in Istio")


@dataclass(frozen=True, slots=True)
class HTTPFaultInjection(Message):
    delay: FaultDelay | None = spec(Sub(FaultDelay))
    abort: FaultAbort | None = spec(Sub(FaultAbort))

    def check(self, at: str, errors: Errors) -> None:
        if self.delay is None and self.abort is None:
            errors.add(at, "at least one of delay, abort", None)


@dataclass(frozen=True, slots=True)
class HTTPMirrorPolicy(Message):
    destination: Destination = spec(Sub(Destination), required=True, default=Destination())
    percentage: Percent | None = spec(Sub(Percent))


@dataclass(frozen=True, slots=True)
class CorsPolicy(Message):
    allow_origin: tuple[str, ...] = spec(TEXTS)
    allow_origins: tuple[StringMatch, ...] = spec(Many(Sub(StringMatch)))
    allow_methods: tuple[str, ...] = spec(
        Many(OneOfNames(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "*")))
    )
    allow_headers: tuple[str, ...] = spec(TEXTS)
    expose_headers: tuple[str, ...] = spec(TEXTS)
    max_age: float | None = spec(Duration(0))
    allow_credentials: bool | None = spec(BOOL)
    unmatched_preflights: str | None = spec(OneOfNames(("UNSPECIFIED", "FORWARD", "IGNORE")))

    def check(self, at: str, errors: Errors) -> None:
        for json, names in (("allowHeaders", self.allow_headers), ("exposeHeaders", self.expose_headers)):
            for index, name in enumerate(names):
                expected = checks.header_name(name)
                if expected and name != "*":
                    errors.add(f"{at}.{json}[{index}]", expected, name)
        for index, match in enumerate(self.allow_origins):
            if match.is_any:
                errors.add(f"{at}.allowOrigins[{index}]", "exactly one of exact, prefix, regex", None)
        if self.max_age is not None and self.max_age % 1:
            errors.add(f"{at}.maxAge", "whole seconds", f"{self.max_age}s")


@dataclass(frozen=True, slots=True)
class Delegate(Message):
    name: str = spec(TEXT, required=True, default="")
    namespace: str | None = spec(Text((checks.dns_label,)))


@dataclass(frozen=True, slots=True)
class HTTPRoute(Message):
    name: str | None = spec(TEXT)
    match: tuple[HTTPMatchRequest, ...] = spec(Many(Sub(HTTPMatchRequest)))
    route: tuple[HTTPRouteDestination, ...] = spec(Many(Sub(HTTPRouteDestination)))
    redirect: HTTPRedirect | None = spec(Sub(HTTPRedirect))
    direct_response: HTTPDirectResponse | None = spec(Sub(HTTPDirectResponse))
    delegate: Delegate | None = spec(Sub(Delegate))
    rewrite: HTTPRewrite | None = spec(Sub(HTTPRewrite))
    timeout: float | None = spec(Duration(0))
    retries: HTTPRetry | None = spec(Sub(HTTPRetry))
    fault: HTTPFaultInjection | None = spec(Sub(HTTPFaultInjection))
    mirror: Destination | None = spec(Sub(Destination))
    mirrors: tuple[HTTPMirrorPolicy, ...] = spec(Many(Sub(HTTPMirrorPolicy)))
    mirror_percent: int | None = spec(UINT32)
    mirror_percentage: Percent | None = spec(Sub(Percent))
    cors_policy: CorsPolicy | None = spec(Sub(CorsPolicy))
    headers: Headers | None = spec(Sub(Headers))

    def check(self, at: str, errors: Errors) -> None:
        ways = {
            "route": bool(self.route),
            "redirect": self.redirect is not None,
            "directResponse": self.direct_response is not None,
            "delegate": self.delegate is not None,
        }
        given = [name for name, is_given in ways.items() if is_given]
        if len(given) != 1:
            errors.add(at, f"exactly one of {', '.join(ways)}", ", ".join(given) or None)
        if self.redirect is not None:
            for json, value in (("rewrite", self.rewrite), ("fault", self.fault)):
                if value is not None:
                    errors.add(f"{at}.{json}", f"no {json} beside a redirect", f"both {json} and redirect")
        if self.direct_response is not None and self.rewrite is not None:
            errors.add(f"{at}.rewrite", "no rewrite beside a direct response", "both rewrite and directResponse")
        if self.mirror is not None and self.mirrors:
            errors.add(at, "at most one of mirror, mirrors", "mirror, mirrors")
        if self.mirror_percent is not None and self.mirror_percent > 100:
            errors.add(f"{at}.mirrorPercent", "an integer from 0 to 100", self.mirror_percent)
        total = sum(entry.weight for entry in self.route)
        if len(self.route) > 1 and total == 0:
            errors.add(f"{at}.route", "weights with a sum above 0", 0, "give each destination a weight")
        if total > 2**32 - 1:
            errors.add(f"{at}.route", "weights with a sum below 2^32", total)
        if self.delegate is not None:
            for index, match in enumerate(self.match):
                if match.has_regex:
                    errors.add(f"{at}.match[{index}]", "no regex in a match that delegates", "a regex")
