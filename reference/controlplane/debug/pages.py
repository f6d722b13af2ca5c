"""State as JSON. Pure."""

import dataclasses
import enum
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import any_pb2, json_format, message

from reference.controlplane.xds.connections import Connection
from reference.controlplane.xds.subscription import Subscription
from reference.controlplane.xds.types import Resources, position, short

Json = dict[str, Any]


def jsonable(value: object) -> Any:
    """Dataclasses, enums, mappings, sets and messages as plain JSON values."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, message.Message):
        return json_format.MessageToDict(value, preserving_proto_field_name=True)
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {each.name: jsonable(getattr(value, each.name)) for each in fields if each.repr}
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else _joined(key): jsonable(each) for key, each in value.items()}
    if isinstance(value, Iterable):
        return [jsonable(each) for each in value]
    return str(value)


def _joined(key: object) -> str:
    return "/".join(map(str, key)) if isinstance(key, tuple) else str(key)


def status(subscription: Subscription) -> str:
    """SYNCED, STALE, NOT_SENT or ERROR, as Istio's proxy-status has it."""
    if subscription.rejection is not None:
        return "ERROR"
    if subscription.unsettled_since is not None:
        return "STALE"
    return "SYNCED" if subscription.responses else "NOT_SENT"


def syncz(connections: Iterable[Connection[Any]]) -> list[Json]:
    """For each proxy the state of each type."""
    return [
        {
            "proxy": each.node,
            "identity": each.identity,
            "connection": each.id,
            "processed": each.processed,
            "types": {
                short(url): {
                    "status": status(subscription),
                    "acked": subscription.last_sequence if subscription.unsettled_since is None else None,
                    "sent": subscription.last_sequence,
                    "responses": subscription.responses,
                    "resources": len(subscription.sent),
                    **({"error": subscription.rejection.error} if subscription.rejection else {}),
                }
                for url, subscription in sorted(each.subscriptions.items(), key=lambda item: position(item[0]))
            },
        }
        for each in connections
    ]


def connections(streams: Iterable[Connection[Any]]) -> Json:
    """Who is connected from where, since when."""
    clients = [
        {"connectionId": each.id, "node": each.node, "connectedAt": each.connected_at, "address": each.peer}
        for each in streams
    ]
    return {"totalClients": len(clients), "clients": clients}


def resources(found: Resources) -> list[Json]:
    """Generated resources in full."""
    out = []
    for each in found.values():
        wrapped = any_pb2.Any(type_url=each.type_url, value=each.body)
        out.append({"name": each.name, "version": each.version, "resource": jsonable(wrapped)})
    return out
