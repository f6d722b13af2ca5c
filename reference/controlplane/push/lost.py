"""Proxies whose stream broke. They serve traffic with old configuration, so they concern the barrier until they are
back or their pod is gone.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

Obj = Mapping[str, Any]


class Stream(Protocol):
    @property
    def node(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def pod(self) -> str: ...


def alive(pod: Obj | None) -> bool:
    """Whether a pod may still serve: it exists, is not being deleted and has not ended."""
    if pod is None or pod["metadata"].get("deletionTimestamp"):
        return False
    return (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")


class LostProxies:
    """`pod` looks a pod up by namespace and name. A pod made anew under its name is another pod."""

    def __init__(self, pod: Callable[[str, str], Obj | None]) -> None:
        self._pod = pod
        self._lost: dict[str, tuple[str, str, str]] = {}

    def gone(self, stream: Stream, others: Iterable[Stream]) -> None:
        """A stream ended; `others` are those that are still open."""
        found = self._pod(stream.namespace, stream.pod)
        if found is None or not alive(found) or any(each.node == stream.node for each in others):
            return
        self._lost[stream.node] = (stream.namespace, stream.pod, found["metadata"].get("uid", ""))

    def back(self, stream: Stream) -> None:
        self._lost.pop(stream.node, None)

    def __call__(self) -> list[str]:
        """The nodes that are lost and whose pods are there."""
        for node, (namespace, name, uid) in list(self._lost.items()):
            found = self._pod(namespace, name)
            if found is None or not alive(found) or found["metadata"].get("uid", "") != uid:
                del self._lost[node]
        return list(self._lost)
