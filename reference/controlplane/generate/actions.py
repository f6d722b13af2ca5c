"""What a VirtualService's HTTP route does, piece by piece, as Envoy's messages."""

import base64
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2 as route_pb2
from envoy.extensions.filters.common.fault.v3 import fault_pb2 as common_fault_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from envoy.extensions.retry.priority.previous_priorities.v3 import previous_priorities_config_pb2
from envoy.type.matcher.v3 import string_pb2

from reference.api.checks import GRPC_CODES
from reference.api.destinationrule import ConsistentHashLB
from reference.api.http import (
    CorsPolicy,
    Headers,
    HTTPDirectResponse,
    HTTPFaultInjection,
    HTTPRedirect,
    HTTPRetry,
    Percent,
)
from reference.controlplane.generate.builders import duration, packed, percent
from reference.controlplane.generate.matches import string_match

HeaderOption: TypeAlias = base_pb2.HeaderValueOption
DEFAULT_RETRY_ON: Final = "connect-failure,refused-stream,unavailable,cancelled"
DEFAULT_ATTEMPTS: Final = 2
_CODES: Final = {
    301: route_pb2.RedirectAction.MOVED_PERMANENTLY,
    302: route_pb2.RedirectAction.FOUND,
    303: route_pb2.RedirectAction.SEE_OTHER,
    307: route_pb2.RedirectAction.TEMPORARY_REDIRECT,
    308: route_pb2.RedirectAction.PERMANENT_REDIRECT,
}


def share(value: Percent | None, legacy: int | None = None) -> float:
    """A percentage; everything when it is left out."""
    if value is not None:
        return value.value
    return float(legacy) if legacy is not None else 100.0


def apply_headers(target: route_pb2.Route | route_pb2.WeightedCluster.ClusterWeight, headers: Headers | None) -> None:
    """Header operations. `Host` is not among them: see `authority`."""
    if headers is None:
        return
    if headers.request is not None:
        target.request_headers_to_add.extend(_additions(headers.request.set, headers.request.add))
        target.request_headers_to_remove.extend(headers.request.remove)
    if headers.response is not None:
        target.response_headers_to_add.extend(_additions(headers.response.set, headers.response.add))
        target.response_headers_to_remove.extend(headers.response.remove)


def _additions(replaced: Mapping[str, str], added: Mapping[str, str]) -> list[HeaderOption]:
    made = []
    for values, action in (
        (replaced, HeaderOption.OVERWRITE_IF_EXISTS_OR_ADD),
        (added, HeaderOption.APPEND_IF_EXISTS_OR_ADD),
    ):
        for name, value in sorted(values.items()):
            if not is_authority(name):
                header = base_pb2.HeaderValue(key=name, value=value)
                made.append(HeaderOption(header=header, append_action=action, keep_empty_value=True))
    return made


def is_authority(name: str) -> bool:
    return name.lower() in ("host", ":authority")


def authority(headers: Headers | None) -> str:
    """The authority that header operations on the request set; empty for none."""
    operations = headers.request if headers is not None else None
    if operations is None:
        return ""
    return next((value for name, value in (*operations.set.items(), *operations.add.items()) if is_authority(name)), "")


def redirect(rule: HTTPRedirect, port: int) -> route_pb2.RedirectAction:
    """`port` is the listener's, for derivePort FROM_REQUEST_PORT."""
    action = route_pb2.RedirectAction(response_code=_CODES.get(rule.redirect_code or 301, _CODES[301]))
    if rule.authority:
        action.host_redirect = rule.authority
    if rule.scheme:
        action.scheme_redirect = rule.scheme
    if rule.uri and rule.uri.startswith("%PREFIX()%"):
        action.prefix_rewrite = rule.uri.removeprefix("%PREFIX()%")
    elif rule.uri:
        action.path_redirect = rule.uri
    if rule.port is not None:
        action.port_redirect = rule.port
    elif rule.derive_port == "FROM_REQUEST_PORT":
        action.port_redirect = port
    elif rule.derive_port == "FROM_PROTOCOL_DEFAULT" and rule.scheme:
        action.port_redirect = 443 if rule.scheme == "https" else 80
    return action


def direct_response(rule: HTTPDirectResponse) -> route_pb2.DirectResponseAction:
    action = route_pb2.DirectResponseAction(status=rule.status)
    if rule.body is not None and rule.body.string is not None:
        action.body.inline_string = rule.body.string
    elif rule.body is not None and rule.body.bytes is not None:
        action.body.inline_bytes = base64.b64decode(rule.body.bytes)
    return action


def default_retries() -> route_pb2.RetryPolicy:
    return retries(HTTPRetry(attempts=DEFAULT_ATTEMPTS))


def retries(rule: HTTPRetry) -> route_pb2.RetryPolicy:
    """Another host is tried where there is one."""
    conditions, codes = [], []
    for part in (rule.retry_on or DEFAULT_RETRY_ON).split(","):
        word = part.strip()
        if word.isdigit():
            codes.append(int(word))
        elif word:
            conditions.append(word)
    if codes and "retriable-status-codes" not in conditions:
        conditions.append("retriable-status-codes")
    made = route_pb2.RetryPolicy(retry_on=",".join(conditions), retriable_status_codes=codes)
    made.num_retries.value = rule.attempts
    if rule.retry_ignore_previous_hosts is not False:
        predicate = made.retry_host_predicate.add(name="envoy.retry_host_predicates.previous_hosts")
        predicate.typed_config.CopyFrom(packed(previous_hosts_pb2.PreviousHostsPredicate()))
        made.host_selection_retry_max_attempts = 5
    if rule.per_try_timeout:
        made.per_try_timeout.CopyFrom(duration(rule.per_try_timeout))
    if rule.backoff is not None:
        made.retry_back_off.base_interval.CopyFrom(duration(rule.backoff))
    if rule.retry_remote_localities:
        made.retry_priority.name = "envoy.retry_priorities.previous_priorities"
        config = previous_priorities_config_pb2.PreviousPrioritiesConfig(update_frequency=2)
        made.retry_priority.typed_config.CopyFrom(packed(config))
    return made


def fault(rule: HTTPFaultInjection) -> fault_pb2.HTTPFault:
    made = fault_pb2.HTTPFault()
    if rule.delay is not None and rule.delay.fixed_delay is not None:
        made.delay.CopyFrom(
            common_fault_pb2.FaultDelay(
                fixed_delay=duration(rule.delay.fixed_delay),
                percentage=percent(share(rule.delay.percentage, rule.delay.percent)),
            )
        )
    if rule.abort is not None:
        made.abort.percentage.CopyFrom(percent(share(rule.abort.percentage)))
        if rule.abort.grpc_status is not None:
            made.abort.grpc_status = GRPC_CODES[rule.abort.grpc_status]
        elif rule.abort.http_status is not None:
            made.abort.http_status = rule.abort.http_status
    return made


def cors(rule: CorsPolicy) -> cors_pb2.CorsPolicy:
    made = cors_pb2.CorsPolicy(
        allow_methods=",".join(rule.allow_methods),
        allow_headers=",".join(rule.allow_headers),
        expose_headers=",".join(rule.expose_headers),
    )
    made.allow_origin_string_match.extend(string_match(origin) for origin in rule.allow_origins)
    made.allow_origin_string_match.extend(
        string_pb2.StringMatcher(exact=origin)
        if origin != "*"
        else string_pb2.StringMatcher(safe_regex={"regex": ".*"})
        for origin in rule.allow_origin
    )
    if rule.max_age is not None:
        made.max_age = str(int(rule.max_age))
    if rule.allow_credentials is not None:
        made.allow_credentials.value = rule.allow_credentials
    made.forward_not_matching_preflights.value = rule.unmatched_preflights != "IGNORE"
    made.filter_enabled.default_value.CopyFrom(percent(100))
    return made


def hash_policies(settings: Sequence[ConsistentHashLB]) -> list[route_pb2.RouteAction.HashPolicy]:
    """One per destination that hashes, in order, each different one once."""
    made: list[route_pb2.RouteAction.HashPolicy] = []
    for entry in settings:
        one = _hash_policy(entry)
        if one not in made:
            made.append(one)
    return made


def _hash_policy(settings: ConsistentHashLB) -> route_pb2.RouteAction.HashPolicy:
    made = route_pb2.RouteAction.HashPolicy()
    if settings.http_header_name is not None:
        made.header.header_name = settings.http_header_name
    elif settings.http_cookie is not None:
        made.cookie.name = settings.http_cookie.name
        made.cookie.path = settings.http_cookie.path or ""
        if settings.http_cookie.ttl is not None:
            made.cookie.ttl.CopyFrom(duration(settings.http_cookie.ttl))
        for attribute in settings.http_cookie.attributes:
            made.cookie.attributes.add(name=attribute.get("name", ""), value=attribute.get("value", ""))
    elif settings.http_query_parameter_name is not None:
        made.query_parameter.name = settings.http_query_parameter_name
    else:
        made.connection_properties.source_ip = True
    return made
