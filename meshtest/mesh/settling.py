"""The reference mesh's settled barrier, as data: what to ask, and what the answer means. Pure."""

import json
from collections.abc import Sequence
from typing import Any

from meshtest.framework.errors import NotSettled
from meshtest.framework.mesh import ObjectRef, Settled

PATH = "/debug/settled"


def question(objects: Sequence[ObjectRef], timeout_s: float) -> dict[str, Any]:
    """The body of POST /debug/settled."""
    return {"objects": [_named(each) for each in objects], "timeout": timeout_s}


def answer(status: int, body: bytes, objects: Sequence[ObjectRef], replica: str) -> Settled:
    """The outcome of 200. Errors: NotSettled, which names proxies, types and NACK texts, for every other status."""
    what = ", ".join(map(str, objects))
    try:
        parsed = json.loads(body)
    except ValueError:
        parsed = {}
    if not isinstance(parsed, dict):
        parsed = {}
    if status == 200:
        return Settled(tuple(map(_proxy, parsed.get("concerned") or ())), float(parsed.get("elapsed_ms") or 0.0))
    if status == 409:
        lines = [f"  {each.get('proxy')} refused {each.get('type')}: {each.get('error')}" for each in parsed["nacks"]]
        raise NotSettled(f"{what}: proxies refused the config:\n" + "\n".join(lines))
    if status == 504:
        lines = [f"  {each.get('proxy')} has not taken {each.get('type')}" for each in parsed.get("pending") or ()]
        pending = "\n".join(lines) or "  (the control plane has not seen the object)"
        raise NotSettled(f"{what}: not settled in time at {replica}:\n{pending}")
    raise NotSettled(f"{what}: {replica} answered {status} to {PATH}: {body.decode(errors='replace')[:500]}")


def _proxy(entry: object) -> str:
    return str(entry.get("proxy", entry)) if isinstance(entry, dict) else str(entry)


def _named(each: ObjectRef) -> dict[str, Any]:
    named: dict[str, Any] = {
        "group": each.group,
        "kind": each.kind,
        "namespace": each.namespace,
        "name": each.name,
        "uid": each.uid,
    }
    return {**named, "absent": True} if each.absent else {**named, "resourceVersion": each.resource_version}
