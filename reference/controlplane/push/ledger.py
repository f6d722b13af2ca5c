"""Which change of input has which number, and which objects have been seen.

A sequence number counts changes of input in the order in which this replica saw them. The barrier is asked about
objects, so the ledger remembers for each the number of its last change, and for each kind how far its watch has come:
a resourceVersion that the watch has passed has been seen, whatever became of the object since.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Obj = Mapping[str, Any]
GroupKind = tuple[str, str]
Key = tuple[str, str, str, str]
"""group, kind, namespace, name"""


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """An object as the barrier's caller knows it.

    resource_version: of the write that is waited for; None when it is not known. absent: it was deleted; then the
    version, if given, is the deletion's.
    """

    group: str
    kind: str
    namespace: str
    name: str
    uid: str | None = None
    resource_version: int | None = None
    absent: bool = False

    @property
    def key(self) -> Key:
        return (self.group, self.kind, self.namespace, self.name)

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {where}"


@dataclass(frozen=True, slots=True)
class Watched:
    """One kind's informer, as the ledger looks at it; `namespace` when it watches one namespace only."""

    get: Callable[[str, str], Obj | None]
    version: Callable[[], int]
    namespace: str | None = None


class Ledger:
    """`sequence` is the number of the last change, `pushed` of the last that was offered to all streams."""

    def __init__(self, remember: int = 20_000) -> None:
        self.sequence = 0
        self.pushed = 0
        self._watched: dict[GroupKind, Watched] = {}
        self._last: OrderedDict[Key, int] = OrderedDict()
        self._remember = remember

    def watch(self, group: str, kind: str, watched: Watched) -> None:
        self._watched[(group, kind)] = watched

    def watches(self, ref: ObjectRef) -> bool:
        """Whether the control plane looks at such objects at all."""
        watched = self._watched.get((ref.group, ref.kind))
        return watched is not None and watched.namespace in (None, ref.namespace)

    def record(self, key: Key) -> int:
        """A change of that object; returns its number."""
        self.sequence += 1
        self._last[key] = self.sequence
        self._last.move_to_end(key)
        if len(self._last) > self._remember:
            self._last.popitem(last=False)
        return self.sequence

    def seen(self, ref: ObjectRef) -> bool:
        """Whether that version of the object, a later one, or its absence has been seen."""
        watched = self._watched.get((ref.group, ref.kind))
        if watched is None:
            return True
        found = watched.get(ref.namespace, ref.name)
        same = found is not None and (ref.uid is None or found["metadata"].get("uid") == ref.uid)
        passed = ref.resource_version is not None and watched.version() >= ref.resource_version
        if ref.absent:
            # Not there may also mean not there yet; only the deletion's version tells one from the other.
            return not same and (passed or ref.resource_version is None)
        if ref.resource_version is None:
            return same
        return passed

    def number(self, refs: Iterable[ObjectRef]) -> int:
        """The number of the last change among these objects, 0 when none of them ever changed."""
        return max(self.numbers(refs), default=0)

    def numbers(self, refs: Iterable[ObjectRef]) -> list[int]:
        """The number of each object's last change."""
        return [self._last.get(ref.key, 0) for ref in refs]
