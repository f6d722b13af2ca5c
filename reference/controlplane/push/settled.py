"""The settled barrier: have all proxies confirmed what these objects changed?

It holds at N, the number of the objects' last change, when every input has been seen, everything up to N was offered to
every stream, and each stream has confirmed each type as of N. A proxy whose stream broke counts as pending until it
comes back or its pod is gone. A NACK of a response that carried N fails the barrier at once.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from reference.controlplane.push.ledger import Ledger, ObjectRef
from reference.controlplane.xds.subscription import Subscription
from reference.controlplane.xds.types import short

Json = dict[str, Any]


class Stream(Protocol):
    """What the barrier looks at of a connection."""

    @property
    def node(self) -> str: ...
    @property
    def processed(self) -> int: ...
    @property
    def subscriptions(self) -> dict[str, Subscription]: ...
    def settled(self, sequence: int) -> bool: ...


class BadQuestion(ValueError):
    """The barrier's request is malformed; the message names the field."""


@dataclass(frozen=True, slots=True)
class Pending:
    proxy: str
    type: str


@dataclass(frozen=True, slots=True)
class Nack:
    proxy: str
    type: str
    error: str


@dataclass(frozen=True, slots=True)
class State:
    """Where things stand at `sequence`; settled when nothing is unseen, pending or refused."""

    sequence: int
    unseen: tuple[str, ...] = ()
    pending: tuple[Pending, ...] = ()
    nacks: tuple[Nack, ...] = ()

    @property
    def settled(self) -> bool:
        return not (self.unseen or self.pending or self.nacks)


def parse(body: Json) -> tuple[list[ObjectRef], float]:
    """The objects and the timeout in seconds of a `POST /debug/settled` body. Raises BadQuestion."""
    objects = body.get("objects")
    if not isinstance(objects, list):
        raise BadQuestion(f"objects: expected a list, got {type(objects).__name__}")
    refs = []
    for index, each in enumerate(objects):
        if not isinstance(each, dict) or not each.get("kind") or not each.get("name"):
            raise BadQuestion(
                f"objects[{index}]: expected group, kind, namespace, name and resourceVersion, got {each!r}"
            )
        version = each.get("resourceVersion")
        try:
            number = int(version) if version not in (None, "") else None
        except (TypeError, ValueError) as error:
            raise BadQuestion(f"objects[{index}].resourceVersion: expected a number, got {version!r}") from error
        group = str(each.get("group") or "")
        namespace, uid = str(each.get("namespace") or ""), each.get("uid") or None
        refs.append(ObjectRef(group, each["kind"], namespace, each["name"], uid, number, bool(each.get("absent"))))
    try:
        timeout = float(body.get("timeout") or 10.0)
    except (TypeError, ValueError) as error:
        raise BadQuestion(f"timeout: expected seconds, got {body.get('timeout')!r}") from error
    return refs, min(timeout, 300.0)


def evaluate(ledger: Ledger, refs: Sequence[ObjectRef], streams: Iterable[Stream], lost: Iterable[str]) -> State:
    """Where things stand now. `lost`: nodes whose stream broke while their pod is there."""
    unseen = tuple(str(ref) for ref in refs if not ledger.seen(ref))
    number = ledger.number(refs)
    if unseen:
        return State(number, unseen)
    pending: list[Pending] = []
    nacks: list[Nack] = []
    for stream in streams:
        if stream.settled(number):
            continue
        if stream.processed < number:
            pending.append(Pending(stream.node, "push"))
        for type_url, subscription in stream.subscriptions.items():
            if subscription.settled(number):
                continue
            if subscription.rejection and subscription.rejection.covers(number):
                nacks.append(Nack(stream.node, short(type_url), subscription.rejection.error))
            else:
                pending.append(Pending(stream.node, short(type_url)))
    if ledger.pushed < number and not pending:
        pending.append(Pending("istiod", "push"))
    pending += [Pending(node, "disconnected") for node in lost]
    return State(number, (), tuple(pending), tuple(nacks))


class Barrier:
    """Waits until `evaluate` says settled. `progress` must be called whenever its answer may have changed."""

    def __init__(
        self, ledger: Ledger, streams: Callable[[], Iterable[Stream]], lost: Callable[[], Iterable[str]]
    ) -> None:
        self._ledger, self._streams, self._lost = ledger, streams, lost
        self._waiters: set[asyncio.Future[None]] = set()
        self._scheduled = False

    def progress(self) -> None:
        """Something happened; whoever waits looks again, once per turn of the loop."""
        if self._waiters and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._wake)

    def _wake(self) -> None:
        self._scheduled = False
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def state(self, refs: Sequence[ObjectRef]) -> State:
        return evaluate(self._ledger, refs, self._streams(), self._lost())

    async def wait(self, refs: Sequence[ObjectRef], deadline_s: float) -> tuple[State, float]:
        """The state when it settled, was refused, or time was up; and the milliseconds that took."""
        watched = [ref for ref in refs if self._ledger.watches(ref)]
        started = time.perf_counter()
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    state = self.state(watched)
                    if state.settled or state.nacks:
                        break
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiters.add(waiter)
                    await waiter
        except TimeoutError:
            state = self.state(watched)
        return state, (time.perf_counter() - started) * 1000


def answer(state: State, elapsed_ms: float, concerned: Sequence[str]) -> tuple[int, Json]:
    """HTTP status and body: 200 settled, 409 refused by a proxy, 504 not in time."""
    body: Json = {"settled": state.settled, "seq": state.sequence, "elapsed_ms": round(elapsed_ms, 3)}
    if state.settled:
        return 200, {**body, "concerned": list(concerned)}
    if state.nacks:
        nacks = [{"proxy": each.proxy, "type": each.type, "error": each.error} for each in state.nacks]
        return 409, {**body, "nacks": nacks}
    pending = [{"proxy": each.proxy, "type": each.type} for each in state.pending]
    return 504, {**body, "pending": pending, "unseen": list(state.unseen)}
