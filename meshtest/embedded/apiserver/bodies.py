"""Request bodies: JSON and YAML into trees."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import orjson

from . import protobuf
from .errors import StatusError, bad_request, unsupported_media_type

Obj = dict[str, Any]
JSON = "application/json"
YAML = "application/yaml"
ACCEPTED = (JSON, YAML, protobuf.MEDIA)
PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
    "application/strategic-merge-patch+json",
)


def parse(data: bytes, content_type: str) -> Any:
    """Any JSON or YAML value. Raises 400 when it does not parse."""
    if "yaml" in content_type and not data.lstrip().startswith(b"{"):
        return _parse_yaml(data)
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the object provided is unrecognized (must be of type JSON): {error}") from None


def _parse_yaml(data: bytes) -> Any:
    import yaml

    try:
        return yaml.load(data, Loader=_yaml_loader())
    except (yaml.YAMLError, ValueError) as error:
        raise bad_request(f"error decoding YAML: {error}") from None


@functools.lru_cache(maxsize=1)
def _yaml_loader() -> Any:
    """A safe loader that leaves dates as text, as JSON has them."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        yaml_implicit_resolvers: ClassVar[Obj] = {
            first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
            for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    return Loader


def parse_object(data: bytes, content_type: str) -> Obj:
    """A JSON object, as POST and PUT need."""
    media = (content_type or JSON).split(";", 1)[0].strip().lower() or JSON
    if media == protobuf.MEDIA:
        return protobuf.decode(data)
    if media not in (JSON, YAML, "application/x-yaml", "text/plain", "application/octet-stream"):
        raise unsupported_media_type(media, ACCEPTED)
    value = parse(data, media)
    if not isinstance(value, dict):
        raise bad_request(
            f"couldn't get version/kind; json parse error: expected an object, got {type(value).__name__}"
        )
    return value


def too_large() -> StatusError:
    return StatusError(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728")
