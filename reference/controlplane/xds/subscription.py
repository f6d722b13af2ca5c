"""What one stream knows about one resource type, and how far it has settled.

Both protocol variants keep their books here. The life of a response:

    update() ──▶ in flight ──ack──▶ settled
                     │
                     └──nack──▶ rejected, until a later response is acknowledged

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
class InFlight:
    nonce: str
    since: int
    until: int
    versions: dict[str, str]


@dataclass(slots=True)
class Subscription:
    """One type on one stream.

    wildcard: everything was asked for. names: what was asked for by name.
    sent: name -> version, as the proxy holds them once it has confirmed what is in flight.
    rejected: name -> the version that the proxy refused.
    """

    type_url: str
    wildcard: bool = False
    names: set[str] = field(default_factory=set)
    sent: dict[str, str] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
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

    def start(self, versions: dict[str, str], sequence: int) -> str:
        """A response goes out that carries state `sequence`; returns its nonce."""
        self.nonces += 1
        since = self.dirty_since if self.dirty_since is not None else sequence
        self.in_flight = InFlight(f"{self.nonces:x}", min(since, sequence), sequence, versions)
        self.last_nonce = self.in_flight.nonce
        self.last_sequence = sequence
        self.responses += 1
        self.dirty_since = None
        return self.in_flight.nonce

    def unchanged(self) -> None:
        """The state as of now gives the bytes that the proxy holds already: identical bytes settle at once."""
        self.dirty_since = None

    def acknowledge(self, nonce: str) -> bool:
        """True when `nonce` was in flight; a stale one changes nothing."""
        if self.in_flight is None or self.in_flight.nonce != nonce:
            return False
        for name in self.in_flight.versions:
            self.rejected.pop(name, None)
        self.in_flight = None
        if not self.rejected:
            self.rejection = None
        return True

    def reject(self, nonce: str, error: str) -> bool:
        """The proxy refused the response; what it carried is not sent again until it changes."""
        if self.in_flight is None or self.in_flight.nonce != nonce:
            return False
        self.rejection = Rejection(error, self.in_flight.since, self.in_flight.until)
        self.rejected.update(self.in_flight.versions)
        self.in_flight = None
        return True
