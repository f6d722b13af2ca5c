"""Lanes: each worker's own namespaces, and which objects would reach outside of them. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Obj = dict[str, Any]
# Kinds whose exportTo says who may see them, and the field of the hosts that they speak about.
_HOSTS_OF = {"VirtualService": "hosts", "DestinationRule": "host", "ServiceEntry": "hosts"}


@dataclass(frozen=True, slots=True)
class Lane:
    """A worker's share of the cluster: every namespace of its tests starts with `<name>-`."""

    name: str

    def namespace(self, purpose: str) -> str:
        """The lane's namespace for a purpose."""
        return f"{self.name}-{purpose}"

    def owns(self, namespace: str) -> bool:
        """Whether a namespace belongs to this lane."""
        return namespace.startswith(f"{self.name}-")


def reach_outside(objects: Iterable[Obj], lane: Lane, root_namespace: str) -> list[str]:
    """For each object that others could feel, one sentence that says why; empty when all stay inside."""
    return [
        f"{obj.get('kind')} {obj['metadata'].get('name')}: {reason}"
        for obj in objects
        if (reason := _reason(obj, lane, root_namespace))
    ]


def _reason(obj: Obj, lane: Lane, root_namespace: str) -> str | None:
    namespace = obj["metadata"].get("namespace", "")
    if not namespace:
        return "is of the whole cluster"
    if namespace == root_namespace:
        return f"lies in the root namespace {root_namespace} and so counts for the whole mesh"
    if not lane.owns(namespace):
        return f"lies in namespace {namespace}, which is not of lane {lane.name!r}"
    spec = obj.get("spec")
    if not isinstance(spec, dict) or obj.get("kind") not in _HOSTS_OF:
        return None
    exported = spec.get("exportTo")
    if isinstance(exported, list):
        strangers = [each for each in exported if each == "*" or (each not in (".", "~") and not lane.owns(str(each)))]
        return f"is exported to {', '.join(map(repr, strangers))}" if strangers else None
    foreign = [host for host in _hosts(spec.get(_HOSTS_OF[str(obj["kind"])])) if not _own_host(host, namespace, lane)]
    if foreign:
        return f"speaks for {', '.join(foreign)} to everyone, as exportTo is unset (give it exportTo: ['.'])"
    return None


def _hosts(value: object) -> Sequence[str]:
    if isinstance(value, str):
        return [value]
    return [str(host) for host in value] if isinstance(value, list) else []


def _own_host(host: str, namespace: str, lane: Lane) -> bool:
    """A short name means the object's own namespace; a dotted one names its namespace second."""
    labels = host.split(".")
    if len(labels) == 1:
        return host != "*"
    return lane.owns(labels[1]) or labels[1] == namespace or any(lane.owns(label) for label in labels[1:])
