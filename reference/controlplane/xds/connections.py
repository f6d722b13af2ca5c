"""Who is connected, and what a push means for each: the machine of one stream, its outbox, and the table of all."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from reference.controlplane.xds.delta import DeltaRequest, DeltaState
from reference.controlplane.xds.encode import Encoder
from reference.controlplane.xds.sotw import SotwRequest, SotwState
from reference.controlplane.xds.subscription import Subscription
from reference.controlplane.xds.types import CDS, EDS, Resources, position

P = TypeVar("P")
P_contra = TypeVar("P_contra", contravariant=True)


class Source(Protocol[P_contra]):
    """Where resources come from: the current state of the world, which is that after change `sequence`."""

    @property
    def sequence(self) -> int: ...

    def generate(self, proxy: P_contra, type_url: str, names: frozenset[str] | None) -> Resources: ...


@dataclass(eq=False)
class Connection(Generic[P]):
    """One ADS stream of one proxy.

    id: unique among streams. node: the proxy's node id. namespace, pod: the pod it says to run in, which its identity
    has confirmed as far as the namespace. processed: the last change that this stream was offered.
    """

    id: str
    node: str
    namespace: str
    pod: str
    proxy: P
    state: DeltaState | SotwState
    encoder: Encoder
    source: Source[P]
    identity: str = ""
    peer: str = ""
    connected_at: float = 0.0
    processed: int = 0
    outbox: deque[bytes] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    on_sent: Callable[["Connection[P]", Subscription, int], None] | None = None

    @property
    def subscriptions(self) -> dict[str, Subscription]:
        return self.state.subscriptions

    def receive(self, request: DeltaRequest | SotwRequest) -> None:
        """A request came: keep the books, answer if the protocol asks for it."""
        first = request.type_url not in self.subscriptions
        if isinstance(request, DeltaRequest) and isinstance(self.state, DeltaState):
            answer = self.state.receive(request)
            greet = first
        elif isinstance(request, SotwRequest) and isinstance(self.state, SotwState):
            answer = self.state.receive(request)
            subscription = self.subscriptions[request.type_url]
            greet = answer and subscription.dirty_since is None
        else:
            raise TypeError(f"a {type(request).__name__} on a stream of {type(self.state).__name__}")
        if answer:
            self._offer(request.type_url, self.source.sequence, greet=greet)

    def push(self, types: Iterable[str], since: int, sequence: int) -> None:
        """Changes `since`..`sequence` may give other bytes for these types; sends what differs, in push order.

        What an earlier push could not generate is tried again. When one type raises, it and those after it stay
        unsettled until the next push.
        """
        for type_url in types:
            subscription = self.subscriptions.get(type_url)
            if subscription is not None:
                subscription.mark_dirty(since)
        for type_url in sorted(self.subscriptions, key=position):
            if self.subscriptions[type_url].dirty_since is not None:
                self._offer(type_url, sequence)
        self.processed = max(self.processed, sequence)

    def _offer(self, type_url: str, sequence: int, *, greet: bool = False) -> None:
        if not self.state.ready(type_url, sequence):
            return
        resources = self.source.generate(self.proxy, type_url, self.subscriptions[type_url].wanted())
        if isinstance(self.state, DeltaState):
            delta = self.state.update(type_url, resources, sequence, greet=greet)
            data = self.encoder.delta(delta) if delta else None
        else:
            sotw = self.state.update(type_url, resources, sequence, greet=greet)
            data = self.encoder.sotw(sotw) if sotw else None
        if data is None:
            return
        self.outbox.append(data)
        self.wake.set()
        if self.on_sent:
            self.on_sent(self, self.subscriptions[type_url], len(data))
        if type_url == CDS and isinstance(self.state, DeltaState) and self.state.must_resend(EDS):
            self._offer(EDS, sequence)

    def settled(self, sequence: int) -> bool:
        """Whether the proxy confirmed everything up to `sequence`."""
        return self.processed >= sequence and all(each.settled(sequence) for each in self.subscriptions.values())

    def pending(self, sequence: int) -> list[str]:
        """The types that the proxy has not confirmed as of `sequence`."""
        return [url for url, each in self.subscriptions.items() if not each.settled(sequence)]


class Connections(Generic[P]):
    """All streams. `on_change` callbacks run after a connect, a disconnect, an ACK or a NACK."""

    def __init__(self) -> None:
        self._by_id: dict[str, Connection[P]] = {}
        self.on_change: list[Callable[[], None]] = []
        self.on_gone: list[Callable[[Connection[P]], None]] = []
        self.on_new: list[Callable[[Connection[P]], None]] = []

    def __iter__(self) -> Iterator[Connection[P]]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, connection: Connection[P]) -> None:
        self._by_id[connection.id] = connection
        for new in self.on_new:
            new(connection)
        self.changed()

    def remove(self, connection: Connection[P]) -> None:
        if self._by_id.pop(connection.id, None) is not None:
            for gone in self.on_gone:
                gone(connection)
        self.changed()

    def changed(self) -> None:
        for callback in self.on_change:
            callback()
