"""The parts of one API server, put together."""

from __future__ import annotations

from dataclasses import dataclass

from meshtest.embedded.config import ApiServerConfig

from .admission import Admission
from .allocate import ServiceAllocator
from .builtin import BUILTIN
from .conform import Conform
from .connections import Connections
from .crds import Definitions
from .dial import Dialer
from .discovery import Discovery
from .kinds import Registry
from .rbac import Rbac
from .reads import Lists
from .store import Store
from .tokens import Tokens
from .webhook_client import WebhookClient
from .webhooks import DynamicWebhooks
from .writes import Writes


@dataclass(frozen=True, slots=True)
class Core:
    """Everything that verbs need."""

    config: ApiServerConfig
    store: Store
    registry: Registry
    writes: Writes
    lists: Lists
    rbac: Rbac
    tokens: Tokens
    discovery: Discovery
    admission: Admission
    definitions: Definitions
    connections: Connections
    webhook_client: WebhookClient
    dialer: Dialer

    async def close(self) -> None:
        await self.connections.close()
        await self.webhook_client.close()
        self.dialer.close()


def build(config: ApiServerConfig, store: Store | None = None) -> Core:
    """Needs no event loop; what connects is made when first used."""
    store = store or Store()
    registry = Registry(BUILTIN)
    dialer = Dialer(config.netns_fd)
    webhook_client = WebhookClient(store, dialer)
    webhooks = DynamicWebhooks(store, webhook_client)
    admission = Admission(store, webhooks, (ServiceAllocator(store, config.service_cidrs),))
    issuer = f"https://kubernetes.default.svc.{config.dns_domain}"
    return Core(
        config=config,
        store=store,
        registry=registry,
        writes=Writes(store, registry, admission, Conform()),
        lists=Lists(store),
        rbac=Rbac(store),
        tokens=Tokens(store, config.pki_dir / "sa.key", issuer),
        discovery=Discovery(registry),
        admission=admission,
        definitions=Definitions(store, registry),
        connections=Connections(store, dialer, config.pki_dir),
        webhook_client=webhook_client,
        dialer=dialer,
    )
