"""Responses as bytes, put together from parts that are encoded once.

A resource's entry in a response is the same for every stream, so it is written once and kept as long as the resource
lives; a response is then a join of byte strings. Field numbers: envoy/service/discovery/v3/discovery.proto.
"""

from collections import OrderedDict

from reference.controlplane.xds.delta import DeltaResponse
from reference.controlplane.xds.sotw import SotwResponse
from reference.controlplane.xds.types import Resource


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: bytes) -> bytes:
    """One length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def encode_any(resource: Resource) -> bytes:
    """`google.protobuf.Any` with the resource's message."""
    return field(1, resource.type_url.encode()) + field(2, resource.body)


class Encoder:
    """Encodes responses; remembers the last `limit` entries."""

    def __init__(self, limit: int = 20_000) -> None:
        self._entries: OrderedDict[tuple[str, str, str], bytes] = OrderedDict()
        self._limit = limit

    def _entry(self, resource: Resource) -> bytes:
        key = (resource.type_url, resource.name, resource.version)
        entry = self._entries.get(key)
        if entry is None:
            body = (
                field(1, resource.version.encode()) + field(2, encode_any(resource)) + field(3, resource.name.encode())
            )
            entry = self._entries[key] = field(2, body)
            if len(self._entries) > self._limit:
                self._entries.popitem(last=False)
        return entry

    def delta(self, response: DeltaResponse) -> bytes:
        """`DeltaDiscoveryResponse`."""
        parts = [field(1, str(response.sequence).encode())]
        parts += [self._entry(resource) for resource in response.changed]
        parts += [field(4, response.type_url.encode()), field(5, response.nonce.encode())]
        parts += [field(6, name.encode()) for name in response.removed]
        return b"".join(parts)

    def sotw(self, response: SotwResponse) -> bytes:
        """`DiscoveryResponse`."""
        parts = [field(1, response.version.encode())]
        parts += [field(2, encode_any(resource)) for resource in response.resources]
        parts += [field(4, response.type_url.encode()), field(5, response.nonce.encode())]
        return b"".join(parts)
