"""Built-in admission, and the places where webhooks come in.

Order, as in Kubernetes: namespace lifecycle and service accounts, then mutating webhooks; then validation; then
validating webhooks; last, what must be unique is reserved (`reserve`), in the same breath as the commit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from .call import Call
from .errors import forbidden, not_found
from .kinds import Kind
from .store import Item, Store

Obj = dict[str, Any]
PROTECTED_NAMESPACES = frozenset(["default", "kube-system", "kube-public"])


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a write is about. ``operation``: CREATE, UPDATE, DELETE or CONNECT."""

    operation: str
    kind: Kind
    version: str
    namespace: str
    name: str
    subresource: str
    call: Call


class Webhooks(Protocol):
    """The dynamic part; see `webhooks`."""

    async def mutate(self, attributes: Attributes, obj: Obj, old: Obj | None) -> Obj: ...

    async def validate(self, attributes: Attributes, obj: Obj | None, old: Obj | None) -> None: ...


class Allocator(Protocol):
    """Gives out what must be unique; see `allocate`."""

    def reserve(self, attributes: Attributes, obj: Obj, old: Obj | None) -> None: ...


class Admission:
    """Everything between a decoded object and the store."""

    def __init__(self, store: Store, webhooks: Webhooks | None, allocators: tuple[Allocator, ...] = ()) -> None:
        self._store = store
        self._webhooks = webhooks
        self._allocators = allocators

    async def mutate(self, attributes: Attributes, obj: Obj, old: Obj | None) -> Obj:
        if attributes.operation == "CREATE":
            self._namespace_lifecycle(attributes)
            if attributes.kind.key == "pods":
                from .podaccount import admit

                admit(obj, self._service_account(attributes, obj))
        if self._webhooks is not None:
            return await self._webhooks.mutate(attributes, obj, old)
        return obj

    async def validate(self, attributes: Attributes, obj: Obj, old: Obj | None) -> None:
        if self._webhooks is not None:
            await self._webhooks.validate(attributes, obj, old)

    async def delete(self, attributes: Attributes, old: Item) -> None:
        if attributes.kind.key == "namespaces" and attributes.name in PROTECTED_NAMESPACES:
            raise forbidden("", "namespaces", attributes.name, "this namespace may not be deleted")
        if self._webhooks is not None:
            await self._webhooks.validate(attributes, None, old.obj)

    def reserve(self, attributes: Attributes, obj: Obj, old: Obj | None) -> None:
        for allocator in self._allocators:
            allocator.reserve(attributes, obj, old)

    def _namespace_lifecycle(self, attributes: Attributes) -> None:
        if not attributes.kind.namespaced:
            return
        found = self._store.collection("namespaces").get("", attributes.namespace)
        if found is None:
            raise not_found("", "namespaces", attributes.namespace)
        if found.obj["metadata"].get("deletionTimestamp"):
            error = forbidden(
                attributes.kind.group,
                attributes.kind.plural,
                attributes.name,
                f"unable to create new content in namespace {attributes.namespace} because it is being terminated",
            )
            assert error.details is not None
            error.details["causes"] = [
                {
                    "reason": "NamespaceTerminating",
                    "message": f"namespace {attributes.namespace} is being terminated",
                    "field": "metadata.namespace",
                }
            ]
            raise error

    def _service_account(self, attributes: Attributes, pod: Obj) -> Obj:
        spec = pod["spec"]
        name = spec.get("serviceAccountName") or "default"
        found = self._store.collection("serviceaccounts").get(attributes.namespace, name)
        if found is None:
            raise forbidden(
                "",
                "pods",
                attributes.name,
                f'error looking up service account {attributes.namespace}/{name}: serviceaccount "{name}" not found',
            )
        return found.obj
