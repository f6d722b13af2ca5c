"""Checks of single texts. Each takes the text and says what was expected when it is wrong."""

import base64
import ipaddress
import re
import warnings
from collections.abc import Callable
from functools import lru_cache

Check = Callable[[str], str | None]

_LABEL = re.compile(r"^[a-zA-Z0-9](?:[-a-zA-Z0-9_]{0,61}[a-zA-Z0-9])?$")
_DNS_LABEL = re.compile(r"^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$")
_HEADER = re.compile(r"^[-!#$%&'*+.^_`|~0-9A-Za-z]+$")
_NOT_RE2 = re.compile(r"(?<!\\)(?:\\\\)*(?:\(\?(?:=|!|<=|<!|>|\(|#|P=|[a-zA-Z]*[aLux])|\\[1-9ZuUN]|\\k<|[*+?}]\+)")
_REPEAT = re.compile(r"(?<!\\)\{(\d+)(?:,(\d*))?\}")
_INLINE_FLAGS = re.compile(r"\(\?[imsU]+\)")
_RE2_ONLY = re.compile(r"\\(?:[pP](?:\{\^?\w+\}|\w)|C|x\{[0-9a-fA-F]+\}|Q.*?(?:\\E|$))")


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def dns_label(text: str) -> str | None:
    ok = _DNS_LABEL.match(text)
    return None if ok else "a DNS label: lower-case letters, digits and '-', at most 63"


def fqdn(text: str) -> str | None:
    """A host name without wildcard; a single label counts."""
    labels = text.removesuffix(".").split(".")
    ok = len(text) <= 255 and all(_LABEL.match(label) for label in labels)
    return None if ok else "a host name"


def wildcard_host(text: str) -> str | None:
    """A host name, `*`, `*.` before a name, or an address."""
    if text == "*" or is_address(text):
        return None
    rest = text.removeprefix("*.").removeprefix("*-")
    if "*" in rest:
        return "a host name with a wildcard only as its first label"
    return fqdn(rest) and "a host name, optionally with the prefix '*.'"


def header_name(text: str) -> str | None:
    return None if _HEADER.match(text) else "a header name"


def settable_header(text: str) -> str | None:
    """A header that a route may add or remove: the request line belongs to `rewrite`, except the authority."""
    if text.lower() == "host" or text.lower() == ":authority":
        return None
    if text.startswith(":"):
        return "a header name that is no pseudo header"
    return header_name(text)


@lru_cache(maxsize=1024)
def regex(text: str) -> str | None:
    """An RE2 expression. Python's engine stands in for RE2: what only one of the two knows is treated by hand."""
    if not text:
        return "a regular expression that is not empty"
    if len(text) > 1024:
        return "a regular expression of at most 1024 bytes"
    if _NOT_RE2.search(text):
        return "an RE2 expression: no look-around, no back-references, no possessive or atomic groups"
    if any(int(number) > 1000 for pair in _REPEAT.findall(text) for number in pair if number):
        return "an RE2 expression: at most 1000 repetitions"
    plain = _RE2_ONLY.sub("x", _INLINE_FLAGS.sub("", text)).replace("\\z", "\\Z").replace("(?<", "(?P<")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(plain)
    except (re.error, OverflowError) as error:
        return f"an RE2 expression; {error}"
    return None


_FORMAT = re.compile(r"^(?:[^%]|%%|%[A-Z0-9_]+(?:\([^%]*\))?(?::\d+)?%)*$")
_CONTROL = re.compile(r"[\x00\r\n]")


def one_line(text: str) -> str | None:
    return "a text without line breaks" if _CONTROL.search(text) else None


def header_value(text: str) -> str | None:
    """A value that a proxy can write: `%` starts one of Envoy's variables, `%%` is a percent sign."""
    if _CONTROL.search(text):
        return "a header value without line breaks"
    return None if _FORMAT.match(text) else "a header value; write %% for a percent sign"


def prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


def not_empty(text: str) -> str | None:
    return None if text else "a text that is not empty"


def base64_text(text: str) -> str | None:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        return "a base64 text"
    return None


def subnet(text: str) -> str | None:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return "an IP address or CIDR"
    return None


def export_to(text: str) -> str | None:
    return None if text in (".", "*", "~") else (dns_label(text) and "'.', '*', '~' or a namespace")


RETRY_CONDITIONS = frozenset(
    (
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "envoy-ratelimited",
        "retriable-4xx",
        "refused-stream",
        "retriable-status-codes",
        "retriable-headers",
        "http3-post-connect-failure",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
    )
)


def retry_on(text: str) -> str | None:
    for part in text.split(","):
        word = part.strip()
        if word in RETRY_CONDITIONS or (word.isdigit() and 100 <= int(word) <= 599):
            continue
        return "conditions of Envoy's x-envoy-retry-on or x-envoy-retry-grpc-on, or status codes, separated by commas"
    return None


GRPC_CODES = {
    name: number
    for number, name in enumerate(
        (
            "OK",
            "CANCELLED",
            "UNKNOWN",
            "INVALID_ARGUMENT",
            "DEADLINE_EXCEEDED",
            "NOT_FOUND",
            "ALREADY_EXISTS",
            "PERMISSION_DENIED",
            "RESOURCE_EXHAUSTED",
            "FAILED_PRECONDITION",
            "ABORTED",
            "OUT_OF_RANGE",
            "UNIMPLEMENTED",
            "INTERNAL",
            "UNAVAILABLE",
            "DATA_LOSS",
            "UNAUTHENTICATED",
        )
    )
}


def grpc_status(text: str) -> str | None:
    return None if text in GRPC_CODES else "a gRPC status such as UNAVAILABLE"
