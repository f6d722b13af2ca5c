"""Merges changes and offers what they made to every stream.

The first change after quiet is pushed in the same turn of the event loop that brought it. Everything up to the bytes
being queued happens without a pause, so what the API server sends meanwhile is read afterwards and makes one push. A
stream that has not confirmed its last response gets the merged rest with its acknowledgement (`xds.subscription`).
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from reference.controlplane.push.ledger import Key, Ledger
from reference.controlplane.xds.connections import Connection, Connections
from reference.controlplane.xds.subscription import Subscription

log = logging.getLogger(__name__)
P = TypeVar("P")
P_contra = TypeVar("P_contra", contravariant=True)
Affected = Callable[[P], frozenset[str]]
HISTORY = 5_000


def _soon(push: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_soon(push)


class World(Protocol[P_contra]):
    """The state that resources are generated from."""

    def advance(self, changed: Sequence[Key], sequence: int) -> Callable[[P_contra], frozenset[str]]:
        """Takes the changes up to `sequence` in; returns which types of a proxy they may change."""
        ...


@dataclass(frozen=True, slots=True)
class Sent:
    """A response went out: to whom, and which changes it carried."""

    node: str
    since: int
    until: int


class Pusher(Generic[P]):
    """`record` takes changes; pushes happen by themselves once `start` was called.

    progress: called when what the barrier looks at changed. schedule: runs a push later in this turn of the loop.
    """

    def __init__(
        self,
        ledger: Ledger,
        world: World[P],
        connections: Connections[P],
        progress: Callable[[], None],
        schedule: Callable[[Callable[[], None]], object] = _soon,
    ) -> None:
        self._schedule = schedule
        self._ledger, self._world, self._connections, self._progress = ledger, world, connections, progress
        self._changed: list[Key] = []
        self._scheduled = False
        self._started = False
        self._history: deque[Sent] = deque(maxlen=HISTORY)
        self.pushes = 0
        self.last_seconds = 0.0
        self.observe: Callable[[float, int], None] | None = None

    def start(self) -> None:
        """All inputs have synced: build the first state, or raise. Until then changes are only recorded."""
        self._started = True
        self._push()

    def record(self, key: Key) -> None:
        """An object changed."""
        self._ledger.record(key)
        self._changed.append(key)
        if self._started and not self._scheduled:
            self._scheduled = True
            self._schedule(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        try:
            self._push()
        except Exception:
            # Nothing was taken in, so these changes stay pending and the next one tries all of them again.
            log.exception("changes %d to %d cannot be taken in", self._ledger.pushed + 1, self._ledger.sequence)

    def _push(self) -> None:
        started = time.perf_counter()
        since, until = self._ledger.pushed + 1, self._ledger.sequence
        affected = self._world.advance(self._changed, until)
        self._changed = []
        self._ledger.pushed = until
        count = 0
        for connection in self._connections:
            try:
                types = self._types(affected, connection)
                connection.push(types, since, until)
                count += bool(types)
            except Exception:
                # One proxy's broken configuration must not keep the others from theirs. It stays unsettled.
                log.exception("push %d to %s failed", until, connection.node)
        self.pushes += 1
        self.last_seconds = time.perf_counter() - started
        if self.observe:
            self.observe(self.last_seconds, count)
        self._progress()

    @staticmethod
    def _types(affected: Affected[P], connection: Connection[P]) -> Iterable[str]:
        try:
            return affected(connection.proxy)
        except Exception:
            log.exception("what changed for %s cannot be told, so it gets everything", connection.node)
            return list(connection.subscriptions)

    def sent(self, connection: Connection[P], subscription: Subscription, size: int) -> None:
        """Callback of the streams: a response of `size` bytes went out."""
        del size
        if subscription.in_flight is not None:
            self._history.append(Sent(connection.node, subscription.in_flight.since, subscription.in_flight.until))

    def concerned(self, sequences: Iterable[int]) -> list[str]:
        """The proxies that were sent something because of these changes, as far as remembered."""
        wanted = set(sequences)
        found = (each.node for each in self._history if any(each.since <= n <= each.until for n in wanted))
        return list(dict.fromkeys(found))
