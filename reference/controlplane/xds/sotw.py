"""The state-of-the-world xDS protocol as a state machine: requests in, decisions out, no I/O.

    request                            | decision
    -----------------------------------+--------------------------------------------------
    first of its type, or empty nonce  | respond always
    error_detail                       | record, respond only if a change waited for it
    stale nonce                        | drop
    matching nonce, same names         | ACK: respond only if a change waited for it
    matching nonce, other names        | ACK, and respond
    EDS after a CDS push               | respond always, or the clusters never warm

Spec: https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#basic-protocol-overview. A response carries
every resource asked for; for wildcard types what is missing was removed.
"""

from dataclasses import dataclass

from reference.controlplane.xds.subscription import Content, Subscription
from reference.controlplane.xds.types import CDS, EDS, WILDCARD_TYPES, Resource, Resources


@dataclass(frozen=True, slots=True)
class SotwRequest:
    """What matters of an `envoy.service.discovery.v3.DiscoveryRequest`; `error` None means no error_detail."""

    type_url: str
    nonce: str = ""
    error: str | None = None
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SotwResponse:
    type_url: str
    nonce: str
    version: str
    resources: tuple[Resource, ...]
    sequence: int


class SotwState:
    """One stream. Feed it requests and ask it for updates; it decides what the proxy has to be sent."""

    def __init__(self) -> None:
        self.subscriptions: dict[str, Subscription] = {}
        self._always: set[str] = set()

    def receive(self, request: SotwRequest) -> bool:
        """Takes a request; true when the type has to be generated and offered to `update` with `greet` now."""
        subscription = self.subscriptions.get(request.type_url)
        if subscription is None or not request.nonce:
            subscription = Subscription(request.type_url)
            self.subscriptions[request.type_url] = subscription
            self._name(subscription, request.names)
            self._always.discard(request.type_url)
            return True
        if request.error is not None:
            ended = subscription.reject(request.nonce, request.error)
            return ended and subscription.dirty_since is not None
        if request.nonce != subscription.last_nonce:
            return False
        subscription.acknowledge(request.nonce)
        always = request.type_url in self._always
        self._always.discard(request.type_url)
        changed = self._name(subscription, request.names)
        return changed or always or subscription.dirty_since is not None

    @staticmethod
    def _name(subscription: Subscription, names: frozenset[str]) -> bool:
        """Notes the names; true when names were added."""
        wildcard = subscription.type_url in WILDCARD_TYPES and (not names or "*" in names)
        wanted = names - {"*"}
        added = bool(wanted - subscription.names) or (wildcard and not subscription.wildcard)
        subscription.wildcard = wildcard
        subscription.names = set(wanted)
        return added

    def ready(self, type_url: str, sequence: int) -> bool:
        """As `DeltaState.ready`."""
        subscription = self.subscriptions.get(type_url)
        if subscription is not None and subscription.in_flight is not None:
            subscription.mark_dirty(sequence)
            return False
        return subscription is not None

    def update(self, type_url: str, resources: Resources, sequence: int, *, greet: bool = False) -> SotwResponse | None:
        """What to send so that the proxy holds `resources`, or None when it does already; `greet` sends in any case."""
        subscription = self.subscriptions[type_url]
        if subscription.in_flight is not None:
            subscription.mark_dirty(sequence)
            return None
        versions = {name: resource.version for name, resource in resources.items()}
        content, refused = Content(versions), subscription.refused
        if not greet and (content == refused or (versions == subscription.sent and refused is None)):
            subscription.unchanged()
            return None
        nonce = subscription.start(versions, content, sequence)
        if type_url == CDS and EDS in self.subscriptions:
            self._always.add(EDS)
        return SotwResponse(type_url, nonce, str(sequence), tuple(resources.values()), sequence)
