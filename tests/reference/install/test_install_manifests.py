"""Values in, manifests out."""

import json

import yaml

from reference.api import parse_mesh_config
from reference.controlplane.webhooks.sidecar import SidecarValues
from reference.install import InstallValues, render
from reference.install.apply import resource_of
from reference.install.values import merged


def found(values: InstallValues, kind: str, name: str) -> dict[str, object]:
    return next(each for each in render(values) if each["kind"] == kind and each["metadata"]["name"] == name)


def test_every_object_is_complete_and_named_once() -> None:
    objects = render(InstallValues())
    keys = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects]
    assert len(keys) == len(set(keys))
    assert {"CustomResourceDefinition", "Deployment", "Service", "MutatingWebhookConfiguration"} <= {
        k for k, *_ in keys
    }
    assert all(each["apiVersion"] for each in objects)


def test_the_mesh_config_is_merged_over_the_defaults_and_valid() -> None:
    values = InstallValues(mesh_config={"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}, "accessLogFile": None})
    data = found(values, "ConfigMap", "istio")["data"]
    assert isinstance(data, dict)
    mesh = parse_mesh_config(data["mesh"])
    assert mesh.outbound_traffic_policy.mode == "REGISTRY_ONLY"
    assert mesh.access_log_file == ""
    assert mesh.access_log_encoding == "JSON"


def test_the_injector_reads_its_values() -> None:
    data = found(InstallValues(hub="h", tag="1", cluster_id="c1"), "ConfigMap", "istio-sidecar-injector")["data"]
    assert isinstance(data, dict)
    values = SidecarValues.from_json(json.loads(data["values"]))
    assert (values.image, values.cluster_id, values.namespace) == ("h/proxy:1", "c1", "istio-system")


def test_another_namespace_and_revision_stand_beside_the_first() -> None:
    text = yaml.safe_dump_all(render(InstallValues(namespace="mesh2", revision="canary")))
    assert "istio-system" not in text.replace("istiod-istio-system", "")
    webhooks = found(InstallValues(revision="canary"), "MutatingWebhookConfiguration", "istio-sidecar-injector-canary")
    assert "istio-injection=enabled" not in json.dumps(webhooks)


def test_paths_of_our_kinds() -> None:
    kinds = {each["kind"]: resource_of(each).plural for each in render(InstallValues())}
    assert kinds["ClusterRoleBinding"] == "clusterrolebindings"
    assert kinds["MutatingWebhookConfiguration"] == "mutatingwebhookconfigurations"


def test_merging() -> None:
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"b": None, "d": 3}}) == {"a": {"c": 2, "d": 3}}
    assert merged({"a": 1}, {"a": {"b": 2}}) == {"a": {"b": 2}}
