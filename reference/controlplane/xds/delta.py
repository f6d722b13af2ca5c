"""The incremental xDS protocol as a state machine: requests in, decisions out, no I/O.

    request                               | decision
    --------------------------------------+------------------------------------------------------
    first of its type                     | respond (empty subscription of CDS or LDS = wildcard)
    nonce + no error, nothing subscribed  | ACK: respond only if a change waited for it
    nonce + error                         | NACK: record, never answer with the same set again
    new names subscribed                  | respond with those, though the version may be known
    names unsubscribed                    | forget them, no response
    stale or unknown nonce                | neither ACK nor NACK; subscriptions still count

Spec: https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#incremental-xds. Two rules come from Envoy's
behaviour. A changed cluster warms until its endpoints arrive, and since Envoy holds the endpoints' subscription
already it does not ask for them again: every cluster sent makes its endpoints be sent again. And a name that was asked
for and does not exist is answered as removed, so that nobody waits for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reference.controlplane.xds.subscription import Content, Subscription
from reference.controlplane.xds.types import CDS, EDS, WILDCARD_TYPES, Resource, Resources


@dataclass(frozen=True, slots=True)
class DeltaRequest:
    """What matters of an `envoy.service.discovery.v3.DeltaDiscoveryRequest`; `error` None means no error_detail."""

    type_url: str
    nonce: str = ""
    error: str | None = None
    subscribe: frozenset[str] = frozenset()
    unsubscribe: frozenset[str] = frozenset()
    initial_versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeltaResponse:
    type_url: str
    nonce: str
    changed: tuple[Resource, ...]
    removed: tuple[str, ...]
    sequence: int


class DeltaState:
    """One stream. Feed it requests and ask it for updates; it decides what the proxy has to be sent."""

    def __init__(self) -> None:
        self.subscriptions: dict[str, Subscription] = {}

    def receive(self, request: DeltaRequest) -> bool:
        """Takes a request; true when the type has to be generated and offered to `update` now."""
        subscription = self.subscriptions.get(request.type_url)
        first = subscription is None
        if subscription is None:
            subscription = Subscription(request.type_url)
            subscription.sent.update(request.initial_versions)
            subscription.wildcard = request.type_url in WILDCARD_TYPES and not request.subscribe
            self.subscriptions[request.type_url] = subscription
        waited = self._settle(subscription, request)
        fresh = request.subscribe - {"*"}
        subscription.wildcard = (subscription.wildcard or "*" in request.subscribe) and "*" not in request.unsubscribe
        subscription.names |= fresh
        if not first:
            # Whoever subscribes says that it does not hold the resource, whatever it was sent before.
            subscription.forced |= fresh
        for name in request.unsubscribe:
            # Without a name of the refused response the rest may be good.
            waited |= subscription.forget(name) and subscription.in_flight is None
        return first or bool(fresh) or waited

    @staticmethod
    def _settle(subscription: Subscription, request: DeltaRequest) -> bool:
        """Takes the ACK or NACK in a request; true when something waited for the line to be free."""
        if not request.nonce:
            return False
        if request.error is None:
            ended = subscription.acknowledge(request.nonce)
        else:
            ended = subscription.reject(request.nonce, request.error)
        return ended and (subscription.dirty_since is not None or bool(subscription.forced))

    def ready(self, type_url: str, sequence: int) -> bool:
        """Whether a change to the type can be sent now.

        Not when the proxy never asked for the type, nor when a response is in flight: then the change waits for that
        response's acknowledgement.
        """
        subscription = self.subscriptions.get(type_url)
        if subscription is not None and subscription.in_flight is not None:
            subscription.mark_dirty(sequence)
            return False
        return subscription is not None

    def update(
        self, type_url: str, resources: Resources, sequence: int, *, greet: bool = False
    ) -> DeltaResponse | None:
        """What to send so that the proxy holds `resources`, or None when it does already.

        resources: all that `Subscription.wanted` names. sequence: the change as of which they were generated.
        greet: respond even with nothing, as the first request of a wildcard type expects.
        """
        subscription = self.subscriptions[type_url]
        if subscription.in_flight is not None:
            subscription.mark_dirty(sequence)
            return None
        sent, again = subscription.sent, subscription.forced | subscription.uncertain
        changed = tuple(
            resource for name, resource in resources.items() if sent.get(name) != resource.version or name in again
        )
        gone = [name for name in sent if name not in resources]
        gone += [name for name in subscription.uncertain if name not in resources]
        gone += [name for name in subscription.names if name not in resources and name in subscription.forced]
        if greet and not subscription.wildcard:
            gone += [name for name in subscription.names if name not in resources]
        removed = tuple(dict.fromkeys(gone))
        versions = {resource.name: resource.version for resource in changed}
        content = Content(versions, frozenset(removed))
        subscription.forced = set()
        if not greet and (content == subscription.refused or not content.names):
            subscription.unchanged()
            return None
        kept = {name: version for name, version in sent.items() if name in resources}
        nonce = subscription.start({**kept, **versions}, content, sequence)
        if type_url == CDS and versions:
            self._rewarm(versions)
        return DeltaResponse(type_url, nonce, changed, removed, sequence)

    def _rewarm(self, clusters: Mapping[str, str]) -> None:
        endpoints = self.subscriptions.get(EDS)
        if endpoints is not None:
            endpoints.forced |= endpoints.names & clusters.keys()

    def must_resend(self, type_url: str) -> bool:
        """Whether something of the type has to be sent again although it did not change."""
        subscription = self.subscriptions.get(type_url)
        return subscription is not None and bool(subscription.forced)
