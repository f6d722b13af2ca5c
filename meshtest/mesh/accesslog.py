"""Access-log lines of one request out of a proxy's log. Pure."""

import json
from collections.abc import Iterable

from meshtest.framework.mesh import AccessLogLine, PodRef


def lines_about(request_id: str, pod: PodRef, log: Iterable[str]) -> list[AccessLogLine]:
    """JSON lines whose request_id is the given one; other output of the proxy is passed over."""
    found = []
    for line in log:
        if request_id not in line:
            continue
        start = line.find("{")
        try:
            fields = json.loads(line[start:]) if start >= 0 else None
        except ValueError:
            continue
        if isinstance(fields, dict) and fields.get("request_id") == request_id:
            found.append(AccessLogLine(pod, fields))
    return found
