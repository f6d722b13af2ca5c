"""CRDs generated from the models."""

from typing import Any

import pytest

from reference.api import MeshConfig, crds, parse_mesh_config
from reference.api.errors import InvalidConfig

Obj = dict[str, Any]
FORBIDDEN = ("$ref", "additionalItems", "definitions", "patternProperties", "uniqueItems")


def _by_name() -> dict[str, Obj]:
    return {crd["metadata"]["name"]: crd for crd in crds()}


def test_names_versions_and_columns() -> None:
    crd = _by_name()["virtualservices.networking.istio.io"]
    assert crd["spec"]["names"]["shortNames"] == ["vs"]
    assert "istio-io" in crd["spec"]["names"]["categories"]
    versions = {version["name"]: version for version in crd["spec"]["versions"]}
    assert list(versions) == ["v1", "v1beta1", "v1alpha3"]
    assert [name for name, version in versions.items() if version["storage"]] == ["v1"]
    assert [column["name"] for column in versions["v1"]["additionalPrinterColumns"]] == ["Gateways", "Hosts", "Age"]
    assert versions["v1"]["subresources"] == {"status": {}}


def _nodes(schema: Any, under: str = "") -> list[tuple[str, Obj]]:
    found: list[tuple[str, Obj]] = []
    if isinstance(schema, dict):
        found.append((under, schema))
        for name, entry in schema.get("properties", {}).items():
            found += _nodes(entry, f"{under}.{name}")
        for key in ("items", "additionalProperties"):
            found += _nodes(schema.get(key), f"{under}.{key}")
    return found


def test_schemas_are_structural() -> None:
    """Every node has a type, and what stands in oneOf only says what is required."""
    for crd in crds():
        for version in crd["spec"]["versions"]:
            for path, node in _nodes(version["schema"]["openAPIV3Schema"]):
                assert "type" in node, path
                assert not any(key in node for key in FORBIDDEN), path
                for choice in node.get("oneOf", ()):
                    assert set(choice) <= {"required", "not"}, path


def test_route_is_described_to_the_leaf() -> None:
    spec = _by_name()["virtualservices.networking.istio.io"]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    route = spec["properties"]["spec"]["properties"]["http"]["items"]["properties"]
    assert route["route"]["items"]["properties"]["destination"]["required"] == ["host"]
    assert {"name", "match", "redirect", "directResponse", "delegate", "corsPolicy", "mirrors"} <= set(route)


def test_mesh_config_has_defaults_and_ignores_what_it_does_not_know() -> None:
    mesh = parse_mesh_config("{accessLogFile: /dev/stdout, somethingElse: {a: 1}}")
    assert mesh.access_log_file == "/dev/stdout"
    assert parse_mesh_config("") == MeshConfig()
    assert MeshConfig().outbound_traffic_policy.mode == "ALLOW_ANY"
    with pytest.raises(InvalidConfig, match=r"mesh\.enableAutoMtls: expected true or false"):
        parse_mesh_config("enableAutoMtls: 3")
