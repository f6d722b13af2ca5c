"""VirtualService HTTP matches -> Envoy route matches."""

from collections.abc import Mapping
from typing import Final, TypeAlias

from envoy.config.route.v3 import route_components_pb2
from envoy.type.matcher.v3 import regex_pb2, string_pb2

from reference.api.http import HTTPMatchRequest, StringMatch
from reference.api.virtualservice import MESH_GATEWAY

RouteMatch: TypeAlias = route_components_pb2.RouteMatch
_PSEUDO: Final = ("method", "authority", "scheme")


def applies(match: HTTPMatchRequest, namespace: str, labels: Mapping[str, str], port: int) -> bool:
    """Whether a request of this proxy, on a listener of this port, can match at all."""
    if match.gateways and MESH_GATEWAY not in match.gateways:
        return False
    if match.port is not None and match.port != port:
        return False
    if match.source_namespace and match.source_namespace != namespace:
        return False
    return all(labels.get(key) == value for key, value in match.source_labels.items())


def is_catch_all(match: HTTPMatchRequest) -> bool:
    """Takes every request that it applies to."""
    everything = match.uri is None or match.uri.prefix == "/" or match.uri.regex == ".*"
    others = (match.scheme, match.method, match.authority)
    return everything and not any(others) and not (match.headers or match.query_params or match.without_headers)


def route_match(match: HTTPMatchRequest | None) -> RouteMatch:
    """None matches every path."""
    made = RouteMatch()
    uri = match.uri if match is not None else None
    if uri is None or uri.is_any:
        made.prefix = "/"
    elif uri.exact is not None:
        made.path = uri.exact
    elif uri.prefix is not None:
        made.prefix = uri.prefix
    elif uri.regex is not None:
        made.safe_regex.CopyFrom(_regex(uri.regex))
    if match is None:
        return made
    if match.ignore_uri_case:
        made.case_sensitive.value = False
    for name in _PSEUDO:
        value: StringMatch | None = getattr(match, name)
        if value is not None:
            _add_header(made, f":{name}", value)
    for name, value in sorted(match.headers.items()):
        _add_header(made, name, value)
    for name, value in sorted(match.without_headers.items()):
        _add_header(made, name, value, inverted=True)
    for name, value in sorted(match.query_params.items()):
        query = made.query_parameters.add(name=name)
        if value.is_any:
            query.present_match = True
        else:
            query.string_match.CopyFrom(string_match(value))
    return made


def string_match(match: StringMatch) -> string_pb2.StringMatcher:
    if match.exact is not None:
        return string_pb2.StringMatcher(exact=match.exact)
    if match.prefix is not None:
        return string_pb2.StringMatcher(prefix=match.prefix)
    return string_pb2.StringMatcher(safe_regex=_regex(match.regex or ".*"))


def _regex(text: str) -> regex_pb2.RegexMatcher:
    return regex_pb2.RegexMatcher(regex=text)


def _add_header(made: RouteMatch, name: str, match: StringMatch, *, inverted: bool = False) -> None:
    header = made.headers.add(name=name, invert_match=inverted)
    if match.is_any or match.regex == ".*":
        header.present_match = True
        return
    header.string_match.CopyFrom(string_match(match))
    # Without this a request that lacks the header would not match "does not have this value".
    header.treat_missing_header_as_empty = inverted
