"""The way of one request through the proxies, told by their access logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from meshtest.echo.responses import Response

if TYPE_CHECKING:
    from meshtest.framework.mesh import AccessLogLine, Mesh, PodRef

FIELDS = (
    ("route", "route_name"),
    ("cluster", "upstream_cluster"),
    ("endpoint", "upstream_host"),
    ("flags", "response_flags"),
    ("details", "response_code_details"),
)
HINTS = {
    # Envoy does not log the name of a cluster that it does not have
    "cluster_not_found": "the route's destination is unknown to this proxy; hint: does the host exist, with that port, "
    "and does a DestinationRule define the subset?",
}


def way_of(response: Response, source: PodRef, targets: Sequence[PodRef], mesh: Mesh) -> str:
    """Lines for a failure's message. Never raises: what cannot be told is said instead."""
    answering = [pod for pod in targets if pod.name == response.hostname]
    pods = [source, *(answering or targets)]
    try:
        lines = mesh.access_log(response.id, pods)
    except Exception as error:  # the failure that is being explained matters more than this one
        return f"no access log: {type(error).__name__}: {error}"
    return render_way(lines, source)


def render_way(lines: Sequence[AccessLogLine], source: PodRef) -> str:
    """What the source's proxy decided, then every line in full."""
    if not lines:
        return "no proxy logged this request"
    decided = next((line for line in lines if line.pod == source), lines[0])
    summary = ", ".join(f"{name} {_shown(decided.fields.get(key))}" for name, key in FIELDS)
    told = HINTS.get(str(decided.fields.get("response_code_details")))
    return "\n".join([summary, *([told] if told else []), *(f"  {line}" for line in lines)])


def _shown(value: Any) -> str:
    return "-" if value in (None, "") else str(value)
