"""The parts of one API server, put together."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import ApiServerConfig
from .admission import Admission, Webhooks
from .allocate import ServiceAllocator
from .builtin import BUILTIN
from .conform import Conform
from .crds import Definitions
from .discovery import Discovery
from .kinds import Registry
from .rbac import Rbac
from .reads import Lists
from .store import Store
from .tokens import Tokens
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


def build(config: ApiServerConfig, webhooks: Webhooks | None = None, store: Store | None = None) -> Core:
    store = store or Store()
    registry = Registry(BUILTIN)
    admission = Admission(store, webhooks, (ServiceAllocator(store, config.service_cidrs),))
    writes = Writes(store, registry, admission, Conform())
    definitions = Definitions(store, registry)
    issuer = f"https://kubernetes.default.svc.{config.dns_domain}"
    return Core(
        config,
        store,
        registry,
        writes,
        Lists(store),
        Rbac(store),
        Tokens(store, config.pki_dir / "sa.key", issuer),
        Discovery(registry),
        admission,
        definitions,
    )
