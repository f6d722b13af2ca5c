"""Bodies: JSON, YAML and protobuf become the same trees."""

import pytest

from meshtest.embedded.apiserver import bodies
from meshtest.embedded.apiserver.errors import StatusError


def test_yaml_keeps_dates_as_text() -> None:
    text = b"metadata:\n  creationTimestamp: 2026-01-01T00:00:00Z\nspec: {replicas: 1}\n"
    assert bodies.parse(text, bodies.YAML) == {
        "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"replicas": 1},
    }
    assert bodies.parse(b' {"a": 1}', "application/apply-patch+yaml") == {"a": 1}


def _field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


def _envelope(kind: str, api_version: str, raw: bytes) -> bytes:
    types = _field(1, api_version.encode()) + _field(2, kind.encode())
    return b"k8s\x00" + _field(1, types) + _field(2, raw)


def test_protobuf_secret() -> None:
    metadata = _field(1, b"s") + _field(11, _field(1, b"app") + _field(2, b"web"))
    entry = _field(1, b"key") + _field(2, b"\x00\xff")
    raw = _field(1, metadata) + _field(2, entry) + _field(3, b"Opaque")
    assert bodies.parse_object(_envelope("Secret", "v1", raw), "application/vnd.kubernetes.protobuf") == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "labels": {"app": "web"}},
        "data": {"key": "AP8="},
        "type": "Opaque",
    }


def test_protobuf_pointers_keep_zero_and_ports_are_numbers_or_names() -> None:
    port = _field(3, 80) + _field(4, _field(1, 1) + _field(3, b"http")) + _field(5, 0)
    service = _field(2, _field(1, port) + _field(3, b""))
    assert bodies.parse_object(_envelope("Service", "v1", service), "application/vnd.kubernetes.protobuf")["spec"] == {
        "ports": [{"port": 80, "targetPort": "http"}]
    }
    scaled = _field(2, _field(1, 0))
    found = bodies.parse_object(_envelope("Deployment", "apps/v1", scaled), "application/vnd.kubernetes.protobuf")
    assert found["spec"] == {"replicas": 0}


@pytest.mark.parametrize("data", [b"", b"k8s\x00\x0a\xff", b"k8s\x00", _envelope("Unheard", "v1", b"")])
def test_protobuf_that_cannot_be_read_is_400(data: bytes) -> None:
    with pytest.raises(StatusError) as caught:
        bodies.parse_object(data, "application/vnd.kubernetes.protobuf")
    assert caught.value.code == 400
