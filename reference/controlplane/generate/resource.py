"""Resources as they go on the wire."""

from dataclasses import dataclass, field
from hashlib import blake2b

from google.protobuf.message import Message

from reference.controlplane.snapshot.affected import CDS, EDS, LDS, RDS

__all__ = ["CDS", "EDS", "LDS", "RDS", "Resource", "encoded", "resource"]


@dataclass(frozen=True, slots=True)
class Resource:
    """A name, a version that changes with the content alone, and the serialized message (the value of the Any)."""

    name: str
    version: str
    type_url: str
    body: bytes = field(repr=False)


def encoded(name: str, type_url: str, body: bytes) -> Resource:
    return Resource(name, blake2b(body, digest_size=8).hexdigest(), type_url, body)


def resource(name: str, type_url: str, message: Message) -> Resource:
    return encoded(name, type_url, message.SerializeToString(deterministic=True))
