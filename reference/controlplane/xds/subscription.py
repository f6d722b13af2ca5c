"""What one stream knows about one resource type, and how far it has settled.

Both protocol variants keep their books here. The life of a response:

    update() ──▶ in flight ──ack──▶ settled
                     │
                     └──nack──▶ rejected, until a later response is acknowledged

A refused response counts as not accepted as a whole. What the proxy kept of it is not known (Envoy applies the good
part for some types), so every later response carries all of its names again.

One response a type is in flight at a time. A change that comes meanwhile makes the subscription dirty and goes out
with the acknowledgement, so a slow proxy merges changes instead of queueing them.

Sequence numbers count changes of input. `unsettled_since` is the oldest change that the proxy has not confirmed, None
when it confirmed all that it was told; a change that leaves its bytes alone never unsettles it.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rejection:
    """A NACK: the changes `since`..`until` were in the refused response."""

    error: str
    since: int
    until: int

    def covers(self, sequence: int) -> bool:
        return self.since <= sequence <= self.until


@dataclass(frozen=True, slots=True)
class Content:
    """What a response says: name -> version of what it carries, and the names that it removes."""

    versions: dict[str, str]
    removed: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        return self.removed | self.versions.keys()


@dataclass(frozen=True, slots=True)
class InFlight:
    """A response without answer yet; `before` is what the proxy held when it went out."""

    nonce: str
    since: int
    until: int
    content: Content
    before: dict[str, str]


@dataclass(slots=True)
class Subscription:
    """One type on one stream.

    wildcard: everything was asked for. names: what was asked for by name.
    sent: name -> version, as the proxy holds them once it has confirmed what is in flight.
    refused: the response that the proxy refused last, until it accepts one. uncertain: the names of that response.
    """

    type_url: str
    wildcard: bool = False
    names: set[str] = field(default_factory=set)
    sent: dict[str, str] = field(default_factory=dict)
    refused: Content | None = None
    uncertain: set[str] = field(default_factory=set)
    in_flight: InFlight | None = None
    rejection: Rejection | None = None
    dirty_since: int | None = None
    forced: set[str] = field(default_factory=set)
    nonces: int = 0
    last_nonce: str = ""
    last_sequence: int = 0
    responses: int = 0

    @property
    def unsettled_since(self) -> int | None:
        """The oldest change that the proxy has not confirmed."""
        marks = [self.in_flight.since] if self.in_flight else []
        if self.dirty_since is not None:
            marks.append(self.dirty_since)
        return min(marks) if marks else None

    def settled(self, sequence: int) -> bool:
        """Whether the proxy holds this type as of change `sequence` or later."""
        if self.rejection and self.rejection.covers(sequence):
            return False
        since = self.unsettled_since
        return since is None or since > sequence

    def mark_dirty(self, sequence: int) -> None:
        if self.dirty_since is None:
            self.dirty_since = sequence

    def wanted(self) -> frozenset[str] | None:
        """The names to generate; None for everything."""
        return None if self.wildcard else frozenset(self.names)

    def start(self, sent: dict[str, str], content: Content, sequence: int) -> str:
        """A response goes out that carries state `sequence`, after which the proxy holds `sent`; returns its nonce."""
        self.nonces += 1
        since = self.dirty_since if self.dirty_since is not None else sequence
        self.in_flight = InFlight(f"{self.nonces:x}", min(since, sequence), sequence, content, self.sent)
        self.sent = sent
        self.last_nonce = self.in_flight.nonce
        self.last_sequence = sequence
        self.responses += 1
        self.dirty_since = None
        return self.in_flight.nonce

    def forget(self, name: str) -> bool:
        """The proxy no longer wants `name`; true when that name was in the response that it refused."""
        self.names.discard(name)
        self.forced.discard(name)
        was_refused = name in self.uncertain
        self.uncertain.discard(name)
        if not self.wildcard:
            self.sent.pop(name, None)
            if self.in_flight is not None:
                self.in_flight.before.pop(name, None)
        return was_refused

    def unchanged(self) -> None:
        """The state as of now gives the bytes that the proxy holds already: identical bytes settle at once."""
        self.dirty_since = None

    def acknowledge(self, nonce: str) -> bool:
        """True when `nonce` was in flight; a stale one changes nothing."""
        if self.in_flight is None or self.in_flight.nonce != nonce:
            return False
        self.in_flight = None
        self.rejection = self.refused = None
        self.uncertain = set()
        return True

    def reject(self, nonce: str, error: str) -> bool:
        """The proxy refused the response: it is not sent again as it was, and nothing of it counts as accepted."""
        if self.in_flight is None or self.in_flight.nonce != nonce:
            return False
        refused = self.in_flight
        # What an earlier refusal left open was in this response too.
        since = min(refused.since, self.rejection.since) if self.rejection else refused.since
        self.rejection = Rejection(error, since, refused.until)
        self.refused, self.sent = refused.content, refused.before
        self.uncertain = {name for name in refused.content.names if self.wildcard or name in self.names}
        self.in_flight = None
        return True
