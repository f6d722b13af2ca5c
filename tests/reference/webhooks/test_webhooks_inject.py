"""Pods in, patches out."""

import base64
import json
from typing import Any

import jsonpatch
import pytest

from reference.agent.settings import from_environment
from reference.controlplane.webhooks.inject import CannotInject, inject, rewrite_probes, workload_name
from reference.controlplane.webhooks.policy import refusal
from reference.controlplane.webhooks.server import review_config, review_pod
from reference.controlplane.webhooks.sidecar import SidecarValues
from reference.controlplane.webhooks.trust import bundle_patch

Obj = dict[str, Any]


def pod(**metadata: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "a-v1-abc-", "labels": {"app": "a", "version": "v1"}, **metadata},
        "spec": {
            "containers": [
                {
                    "name": "app",
                    "image": "meshtest/echo",
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 3},
                    "livenessProbe": {"tcpSocket": {"port": 8080}},
                }
            ],
            "volumes": [{"name": "own", "emptyDir": {}}],
        },
    }


def injected(original: Obj, values: SidecarValues | None = None) -> Obj:
    made: Obj = jsonpatch.apply_patch(original, inject(original, values or SidecarValues()))
    return made


def container(made: Obj, name: str) -> Obj:
    return next(each for each in made["spec"]["containers"] if each["name"] == name)


def test_a_pod_gets_init_container_proxy_and_volumes() -> None:
    made = injected(pod())
    assert [each["name"] for each in made["spec"]["initContainers"]] == ["istio-init"]
    assert [each["name"] for each in made["spec"]["containers"]] == ["app", "istio-proxy"]
    volumes = [each["name"] for each in made["spec"]["volumes"]]
    assert volumes == ["own", "workload-socket", "istiod-ca-cert", "istio-envoy", "istio-token"]
    mounted = {each["name"] for each in container(made, "istio-proxy")["volumeMounts"]}
    assert mounted == set(volumes) - {"own"}


def test_the_proxy_is_its_own_user_and_only_the_init_container_is_root() -> None:
    made = injected(pod())
    assert container(made, "istio-proxy")["securityContext"]["runAsUser"] == 1337
    init = made["spec"]["initContainers"][0]["securityContext"]
    assert init["runAsUser"] == 0 and init["capabilities"]["add"] == ["NET_ADMIN", "NET_RAW"]


def test_labels_say_that_the_pod_is_in_the_mesh_and_what_it_is() -> None:
    labels = injected(pod())["metadata"]["labels"]
    assert labels["security.istio.io/tlsMode"] == "istio"
    assert labels["service.istio.io/canonical-name"] == "a"
    assert labels["service.istio.io/canonical-revision"] == "v1"
    assert labels["app"] == "a"


def test_the_token_is_good_for_the_ca_alone() -> None:
    volumes = injected(pod())["spec"]["volumes"]
    token = next(each for each in volumes if each["name"] == "istio-token")
    assert token["projected"]["sources"][0]["serviceAccountToken"]["audience"] == "istio-ca"


def test_probes_go_to_the_agent_which_knows_the_originals() -> None:
    made = injected(pod())
    app = container(made, "app")
    assert app["readinessProbe"]["httpGet"] == {"path": "/app-health/app/readyz", "port": 15020, "scheme": "HTTP"}
    assert app["readinessProbe"]["periodSeconds"] == 3
    assert "tcpSocket" not in app["livenessProbe"]
    env = {each["name"]: each.get("value") for each in container(made, "istio-proxy")["env"]}
    originals = json.loads(env["ISTIO_KUBE_APP_PROBERS"] or "")
    assert originals["/app-health/app/readyz"]["httpGet"] == {"path": "/ready", "port": 8080}
    assert originals["/app-health/app/livez"]["tcpSocket"] == {"port": 8080}


def test_probes_are_left_alone_on_request() -> None:
    made = injected(pod(annotations={"sidecar.istio.io/rewriteAppHTTPProbers": "false"}))
    assert container(made, "app")["readinessProbe"]["httpGet"]["port"] == "http"


def test_the_agent_understands_its_environment() -> None:
    made = injected(pod(annotations={"proxy.istio.io/config": "concurrency: 2"}), SidecarValues(cluster_id="c1"))
    fields = {"POD_NAME": "p", "POD_NAMESPACE": "ns", "INSTANCE_IP": "10.0.0.1", "INSTANCE_IPS": "10.0.0.1"}
    env = {each["name"]: each.get("value", "") for each in container(made, "istio-proxy")["env"]}
    settings = from_environment({**env, **fields})
    assert settings.concurrency == 2
    assert settings.cluster_id == "c1"
    assert settings.control_plane_name == "istiod.istio-system.svc"
    assert (settings.ca.port, settings.discovery.port) == (15012, 15013)
    assert settings.labels["app"] == "a"


def test_the_pod_given_is_not_changed() -> None:
    original = pod()
    before = json.dumps(original, sort_keys=True)
    inject(original, SidecarValues())
    assert json.dumps(original, sort_keys=True) == before


def test_the_workload_is_the_deployment() -> None:
    owner = [{"kind": "ReplicaSet", "name": "a-v1-abc", "controller": True}]
    assert workload_name(pod(labels={"pod-template-hash": "abc"}, ownerReferences=owner)) == "a-v1"
    assert workload_name(pod(ownerReferences=[{"kind": "Job", "name": "j", "controller": True}])) == "j"
    assert workload_name({"metadata": {"name": "bare"}}) == "bare"


def test_a_probe_of_an_unknown_port_is_refused_by_name() -> None:
    with pytest.raises(CannotInject, match="'metrics'"):
        rewrite_probes([{"name": "app", "livenessProbe": {"httpGet": {"port": "metrics"}}}])


@pytest.mark.parametrize(
    ("changes", "namespace", "expected"),
    [
        ({}, "ns", None),
        ({}, "kube-system", "never"),
        ({"labels": {"sidecar.istio.io/inject": "false"}}, "ns", "sidecar.istio.io/inject=false"),
        ({"annotations": {"sidecar.istio.io/inject": "false"}}, "ns", "sidecar.istio.io/inject=false"),
        (
            {"labels": {"sidecar.istio.io/inject": "true"}, "annotations": {"sidecar.istio.io/inject": "false"}},
            "ns",
            None,
        ),
        ({"annotations": {"sidecar.istio.io/status": "{}"}}, "ns", "already"),
    ],
)
def test_who_is_injected(changes: Obj, namespace: str, expected: str | None) -> None:
    why = refusal(pod(**changes), namespace)
    assert (why is None) if expected is None else (expected in (why or ""))


def test_pods_in_the_node_s_network_are_never_injected() -> None:
    host = pod()
    host["spec"]["hostNetwork"] = True
    assert "hostNetwork" in (refusal(host, "ns") or "")


def test_reviews() -> None:
    answer = review_pod({"uid": "1", "namespace": "ns", "object": pod()}, SidecarValues())["response"]
    assert answer["allowed"] and answer["patchType"] == "JSONPatch"
    assert json.loads(base64.b64decode(answer["patch"]))[2]["path"] == "/spec"
    assert (
        "patch"
        not in review_pod({"uid": "1", "namespace": "kube-system", "object": pod()}, SidecarValues())["response"]
    )
    refused = review_config({"uid": "2", "operation": "CREATE", "object": {}}, lambda _: "spec.hosts: expected")
    assert refused["response"]["allowed"] is False
    assert refused["response"]["status"]["message"] == "spec.hosts: expected"
    assert review_config({"uid": "3", "operation": "DELETE"}, lambda _: "no")["response"]["allowed"]


def test_the_bundle_is_written_into_our_webhooks_only() -> None:
    ours = {"service": {"name": "istiod", "namespace": "istio-system"}}
    other = {"service": {"name": "other", "namespace": "x"}}
    config = {"webhooks": [{"clientConfig": ours}, {"clientConfig": other}]}
    patch = bundle_patch(config, "istio-system", "Qg==")
    assert [each["path"] for each in patch] == ["/webhooks/0/clientConfig/caBundle"]
    assert bundle_patch({"webhooks": [{"clientConfig": {**ours, "caBundle": "Qg=="}}]}, "istio-system", "Qg==") == []
