"""A control plane that generates wrong routes: the real one, with its route generation replaced from outside.

Run in the place of the pilot's program (see broken_pilot_plugin). Each breakage is one that a control plane could have.
"""

import sys
from typing import Any

from envoy.config.route.v3 import route_components_pb2 as pb

from reference.controlplane.generate import routeconfigs, routes


def broken(route: pb.Route) -> pb.Route:
    """The route without its weights, conditions on headers and queries, timeouts, retries, faults, rewrites …"""
    del route.match.headers[:]
    del route.match.query_parameters[:]
    if route.match.path:
        route.match.prefix = route.match.path
    for field in ("request_headers_to_add", "request_headers_to_remove", "response_headers_to_add"):
        route.ClearField(field)
    route.typed_per_filter_config.clear()  # faults and CORS
    kind = route.WhichOneof("action")
    if kind == "redirect":
        route.redirect.response_code = pb.RedirectAction.SEE_OTHER
    elif kind == "direct_response":
        route.direct_response.body.inline_string = "something else"
    else:
        _break_action(route.route)
    return route


def _break_action(action: pb.RouteAction) -> None:
    action.timeout.FromSeconds(0)
    for field in ("retry_policy", "request_mirror_policies", "hash_policy", "prefix_rewrite", "regex_rewrite"):
        action.ClearField(field)
    action.ClearField("host_rewrite_literal")
    if action.cluster:
        action.cluster = action.cluster.replace("|v3|", "|v2|")
    for weighted in action.weighted_clusters.clusters:
        weighted.weight.value = 1


def main() -> int:
    """As the pilot's own main, once generation is broken."""
    right: Any = routes._route
    plain: Any = vars(routeconfigs)["plain_route"]
    routes._route = lambda *arguments: broken(right(*arguments))
    vars(routeconfigs)["plain_route"] = lambda *arguments: broken(
        pb.Route.FromString(plain(*arguments))
    ).SerializeToString()
    from reference.controlplane.main import main as pilot

    return pilot(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
