"""The API server alone, driven by real kubectl: no controllers, no nodes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

Obj = dict[str, Any]
Kubectl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if shutil.which("kubectl") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("kubectl is not on PATH, and CI must not skip this; install kubectl 1.30 or later")
        pytest.skip("kubectl is not on PATH; install kubectl 1.30 or later to run this")
    directory = tmp_path_factory.mktemp("apiserver")
    ready, tell = os.pipe()
    command = [sys.executable, "-m", "meshtest.embedded.apiserver", "--dir", str(directory), "--ready-fd", str(tell)]
    with subprocess.Popen(command, pass_fds=[tell], stdout=subprocess.DEVNULL) as process:
        os.close(tell)
        assert os.read(ready, 1) == b"1", "the API server ended before it was ready"
        os.close(ready)
        yield directory / "admin.kubeconfig"
        process.terminate()
        process.wait(5)


@pytest.fixture
def kubectl(kubeconfig: Path, tmp_path: Path) -> Kubectl:
    def run(*args: str, stdin: str | Obj | None = None, ok: bool = True) -> subprocess.CompletedProcess[str]:
        text = yaml.safe_dump(stdin) if isinstance(stdin, dict) else stdin
        done = subprocess.run(
            ["kubectl", f"--kubeconfig={kubeconfig}", f"--cache-dir={tmp_path}", *args],
            input=text,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (done.returncode == 0) is ok, f"kubectl {' '.join(args)}: {done.stdout}{done.stderr}"
        return done

    return run


def _namespace(kubectl: Kubectl, name: str) -> str:
    kubectl("create", "namespace", name)
    kubectl("create", "serviceaccount", "default", "-n", name)
    return name


def _deployment(name: str, replicas: int = 2) -> Obj:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "image": "meshtest/echo", "ports": [{"containerPort": 80}]}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
    }


def _get(kubectl: Kubectl, *args: str) -> Obj:
    found: Obj = json.loads(kubectl("get", "-o", "json", *args).stdout)
    return found


def test_apply_twice_changes_nothing(kubectl: Kubectl) -> None:
    ns = _namespace(kubectl, "apply")
    assert kubectl("apply", "-n", ns, "-f", "-", stdin=_deployment("d")).stdout == "deployment.apps/d created\n"
    before = _get(kubectl, "deployment", "d", "-n", ns)["metadata"]["resourceVersion"]
    assert kubectl("apply", "-n", ns, "-f", "-", stdin=_deployment("d")).stdout == "deployment.apps/d unchanged\n"
    assert kubectl("apply", "-n", ns, "-f", "-", stdin=_deployment("d", 3)).stdout == "deployment.apps/d configured\n"
    after = _get(kubectl, "deployment", "d", "-n", ns)
    assert (after["metadata"]["resourceVersion"] != before, after["metadata"]["generation"]) == (True, 2)


def test_get_prints_the_usual_columns(kubectl: Kubectl) -> None:
    ns = _namespace(kubectl, "columns")
    kubectl("apply", "-n", ns, "-f", "-", stdin=_deployment("d"))
    kubectl("run", "p", "--image=meshtest/echo", "-n", ns)
    kubectl("expose", "deployment", "d", "--port=80", "-n", ns)

    def header(*args: str) -> list[str]:
        return kubectl("get", *args, "-n", ns).stdout.splitlines()[0].split()

    assert header("deployments") == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert header("pods") == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert header("services") == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]
    assert kubectl("get", "pod", "p", "-n", ns, "--no-headers").stdout.split()[:4] == ["p", "0/1", "Pending", "0"]


def test_describe_label_annotate_patch_scale(kubectl: Kubectl) -> None:
    ns = _namespace(kubectl, "edits")
    kubectl("apply", "-n", ns, "-f", "-", stdin=_deployment("d"))
    kubectl("label", "deployment", "d", "tier=web", "-n", ns)
    kubectl("annotate", "deployment", "d", "note=x", "-n", ns)
    kubectl("scale", "deployment", "d", "--replicas=5", "-n", ns)
    kubectl("set", "image", "deployment/d", "c=meshtest/echo:2", "-n", ns)
    patch = '{"spec":{"template":{"spec":{"containers":[{"name":"c","env":[{"name":"A","value":"1"}]}]}}}}'
    kubectl("patch", "deployment", "d", "-n", ns, "-p", patch)
    found = _get(kubectl, "deployment", "d", "-n", ns)
    container = found["spec"]["template"]["spec"]["containers"][0]
    assert (found["spec"]["replicas"], found["metadata"]["labels"]) == (5, {"tier": "web"})
    assert (container["image"], container["env"]) == ("meshtest/echo:2", [{"name": "A", "value": "1"}])
    assert "Replicas:" in kubectl("describe", "deployment", "d", "-n", ns).stdout


def test_server_side_apply_sees_conflicts(kubectl: Kubectl) -> None:
    ns = _namespace(kubectl, "ssa")
    kubectl("apply", "--server-side", "-n", ns, "-f", "-", stdin=_deployment("d", 2))
    kubectl("scale", "deployment", "d", "--replicas=5", "-n", ns)
    refused = kubectl("apply", "--server-side", "-n", ns, "-f", "-", stdin=_deployment("d", 3), ok=False)
    assert "Apply failed with 1 conflict" in refused.stderr
    assert ".spec.replicas" in refused.stderr
    kubectl("apply", "--server-side", "--force-conflicts", "-n", ns, "-f", "-", stdin=_deployment("d", 3))
    assert _get(kubectl, "deployment", "d", "-n", ns)["spec"]["replicas"] == 3


def test_fields_no_longer_applied_go(kubectl: Kubectl) -> None:
    ns = _namespace(kubectl, "gone")
    config: Obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1", "b": "2"}}
    kubectl("apply", "--server-side", "-n", ns, "-f", "-", stdin=config)
    kubectl("apply", "--server-side", "-n", ns, "-f", "-", stdin={**config, "data": {"b": "3"}})
    assert _get(kubectl, "configmap", "c", "-n", ns)["data"] == {"b": "3"}


def test_unknown_and_wrong_fields_are_refused(kubectl: Kubectl) -> None:
    ns = _namespace(kubectl, "refused")
    wrong = _deployment("d")
    wrong["spec"]["selector"]["matchLabels"]["app"] = "other"
    assert "does not match template `labels`" in kubectl("apply", "-n", ns, "-f", "-", stdin=wrong, ok=False).stderr
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "S"}, "spec": {"ports": [{"port": 80}]}}
    assert "DNS-1035" in kubectl("apply", "-n", ns, "-f", "-", stdin=service, ok=False).stderr
    misspelt = _deployment("d")
    misspelt["spec"]["replica"] = 3
    text = kubectl("apply", "-n", ns, "-f", "-", stdin=misspelt, ok=False).stderr
    assert 'unknown field "spec.replica"' in text


CRD: Obj = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "crontabs.stable.example.com"},
    "spec": {
        "group": "stable.example.com",
        "scope": "Namespaced",
        "names": {"plural": "crontabs", "kind": "CronTab", "shortNames": ["ct"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
                },
                "additionalPrinterColumns": [{"name": "Spec", "type": "string", "jsonPath": ".spec.cronSpec"}],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["cronSpec"],
                                "properties": {
                                    "cronSpec": {"type": "string", "pattern": "^[*]$"},
                                    "replicas": {"type": "integer", "default": 1},
                                },
                                "x-kubernetes-validations": [{"rule": "self.replicas < 10", "message": "too many"}],
                            },
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            },
            {
                "name": "v1beta1",
                "served": True,
                "storage": False,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            },
        ],
    },
}


def test_custom_resources(kubectl: Kubectl) -> None:
    def tab(**spec: object) -> Obj:
        return {"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": {"name": "t"}, "spec": spec}

    kubectl("apply", "-f", "-", stdin=CRD)
    kubectl("wait", "--for=condition=established", "crd/crontabs.stable.example.com", "--timeout=5s")
    kubectl("apply", "-f", "-", stdin=tab(cronSpec="*"))
    assert kubectl("get", "ct", "--no-headers").stdout.split() == ["t", "*"]
    assert _get(kubectl, "crontabs.v1beta1.stable.example.com", "t")["apiVersion"] == "stable.example.com/v1beta1"
    kubectl("scale", "ct/t", "--replicas=3")
    assert _get(kubectl, "ct", "t")["spec"] == {"cronSpec": "*", "replicas": 3}

    def refusal(**spec: object) -> str:
        return kubectl("apply", "-f", "-", stdin=tab(**spec), ok=False).stderr.strip()

    head = 'The CronTab "t" is invalid: '
    assert refusal(cronSpec="x") == (
        head + "spec.cronSpec: Invalid value: \"x\": spec.cronSpec in body should match '^[*]$'"
    )
    wrong_type = 'spec.cronSpec: Invalid value: "integer": spec.cronSpec in body must be of type string: "integer"'
    assert refusal(cronSpec=5) == head + wrong_type
    assert refusal(replicas=1) == head + "spec.cronSpec: Required value"
    assert refusal(cronSpec="*", replicas=10) == head + 'spec: Invalid value: "object": too many'
    assert 'unknown field "spec.foo"' in refusal(cronSpec="*", foo=1)
    kubectl("delete", "crd", "crontabs.stable.example.com")
    kubectl("get", "ct", ok=False)


def test_tokens_roles_and_refusals(kubectl: Kubectl) -> None:
    ns = _namespace(kubectl, "access")
    account = f"system:serviceaccount:{ns}:default"
    assert kubectl("auth", "can-i", "list", "pods", "-n", ns, f"--as={account}", ok=False).stdout == "no\n"
    kubectl("create", "role", "reader", "--verb=list", "--resource=pods", "-n", ns)
    kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={ns}:default", "-n", ns)
    assert kubectl("auth", "can-i", "list", "pods", "-n", ns, f"--as={account}").stdout == "yes\n"
    token = kubectl("create", "token", "default", "-n", ns).stdout.strip()
    kubectl("get", "pods", "-n", ns, f"--token={token}")
    refused = kubectl("get", "secrets", "-n", ns, f"--as={account}", ok=False).stderr
    assert refused.strip() == (
        f'Error from server (Forbidden): secrets is forbidden: User "{account}" cannot list resource "secrets" in API '
        f'group "" in the namespace "{ns}"'
    )


def test_namespaces_drain_by_finalizer(kubectl: Kubectl) -> None:
    ns = _namespace(kubectl, "ending")
    kubectl("delete", "namespace", ns, "--wait=false")
    assert _get(kubectl, "namespace", ns)["status"]["phase"] == "Terminating"
    refused = kubectl("create", "configmap", "c", "-n", ns, ok=False).stderr
    assert f"unable to create new content in namespace {ns} because it is being terminated" in refused
    missing = kubectl("create", "configmap", "c", "-n", "nowhere", ok=False).stderr
    assert 'namespaces "nowhere" not found' in missing


def test_discovery_explain_and_openapi(kubectl: Kubectl) -> None:
    rows = [line.split() for line in kubectl("api-resources", "--no-headers").stdout.splitlines()]
    assert ["pods", "po", "v1", "true", "Pod"] in rows
    assert "apps/v1" in kubectl("api-versions").stdout.split()
    assert "containers" in kubectl("explain", "pod.spec").stdout
    assert "Server Version" in kubectl("version").stdout


def test_watch_sees_changes_in_order(kubectl: Kubectl, kubeconfig: Path, tmp_path: Path) -> None:
    ns = _namespace(kubectl, "watched")
    command = ["kubectl", f"--kubeconfig={kubeconfig}", f"--cache-dir={tmp_path}", "get", "configmaps", "-n", ns]
    with subprocess.Popen([*command, "--watch", "-o", "name"], stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        kubectl("create", "configmap", "one", "-n", ns)
        assert watching.stdout.readline() == "configmap/one\n"
        kubectl("create", "configmap", "two", "-n", ns)
        assert watching.stdout.readline() == "configmap/two\n"
        watching.terminate()
