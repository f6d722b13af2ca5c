"""What a container is told: environment, user, files of its root, volumes."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from meshtest.embedded.images.registry import Image
from meshtest.embedded.node import environment, servicelinks, volumes
from meshtest.embedded.node.environment import ConfigError, Facts
from meshtest.embedded.node.states import Obj

CONFIG_MAP: Obj = {"data": {"color": "red", "size": "3"}, "binaryData": {"raw": base64.b64encode(b"\0\1").decode()}}
SECRET: Obj = {"data": {"password": base64.b64encode(b"s3cret").decode()}}
FACTS = Facts(
    node="node-0",
    node_ip="172.31.0.10",
    pod_ip="10.244.0.9",
    config_map=lambda namespace, name: CONFIG_MAP if (namespace, name) == ("n", "cm") else None,
    secret=lambda namespace, name: SECRET if (namespace, name) == ("n", "s") else None,
    service_env={"KUBERNETES_SERVICE_HOST": "10.96.0.1"},
    dns_ip="10.96.0.10",
    dns_domain="cluster.local",
)
IMAGE = Image("meshtest/x", python="a:b", env={"FROM_IMAGE": "1"})


def pod(container: Obj | None = None, **spec: object) -> Obj:
    return {
        "metadata": {"name": "p", "namespace": "n", "uid": "u-1", "labels": {"app": "web", "b": 'q"'}},
        "spec": {"containers": [{"name": "c", **(container or {})}], **spec},
    }


def env(entries: list[Obj], **container: object) -> dict[str, str]:
    obj = pod({"env": entries, **container})
    return environment.environment(obj, obj["spec"]["containers"][0], IMAGE, FACTS)


def test_plain_values_expand_what_is_known() -> None:
    result = env([{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)-$(NOPE)-$$(A)"}])
    assert result["B"] == "1-$(NOPE)-$(A)"
    assert result["FROM_IMAGE"] == "1" and result["HOSTNAME"] == "p" and "KUBERNETES_SERVICE_HOST" in result


def test_downward_api_fields_and_resources() -> None:
    def field(path: str) -> str:
        return env([{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}])["X"]

    assert field("status.podIP") == "10.244.0.9"
    assert field("metadata.labels['app']") == "web"
    assert field("metadata.labels") == 'app="web"\nb="q\\""'
    assert field("spec.serviceAccountName") == "default"
    with pytest.raises(ConfigError, match=r"spec\.nope"):
        field("spec.nope")
    limits = {"resources": {"limits": {"cpu": "1500m", "memory": "64Mi"}}}

    def resource(name: str, divisor: str = "1") -> str:
        reference = {"resource": name, "divisor": divisor}
        return env([{"name": "X", "valueFrom": {"resourceFieldRef": reference}}], **limits)["X"]

    assert resource("limits.cpu") == "2"
    assert resource("limits.cpu", "1m") == "1500"
    assert resource("limits.memory", "1Mi") == "64"


def test_config_maps_and_secrets() -> None:
    key = {"configMapKeyRef": {"name": "cm", "key": "color"}}
    assert env([{"name": "X", "valueFrom": key}])["X"] == "red"
    assert env([{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}}])["X"] == "s3cret"
    everything = env([], envFrom=[{"prefix": "P_", "configMapRef": {"name": "cm"}}])
    assert everything["P_size"] == "3"
    with pytest.raises(ConfigError, match='secret "missing" not found'):
        env([{"name": "X", "valueFrom": {"secretKeyRef": {"name": "missing", "key": "k"}}}])
    optional = {"configMapKeyRef": {"name": "missing", "key": "k", "optional": True}}
    assert "X" not in env([{"name": "X", "valueFrom": optional}])


def test_user_groups_and_arguments() -> None:
    container = {
        "args": ["--name", "$(A)"],
        "securityContext": {"runAsGroup": 7, "capabilities": {"add": ["NET_ADMIN"]}},
    }
    obj = pod(container, securityContext={"runAsUser": 1337, "fsGroup": 9})
    process = environment.process(obj, obj["spec"]["containers"][0], IMAGE, {"A": "x"})
    assert (process.uid, process.gid, process.groups) == (1337, 7, (9,))
    assert process.argv == ("--name", "x") and process.capabilities_add == ("NET_ADMIN",)
    obj = pod({"securityContext": {"runAsNonRoot": True}})
    with pytest.raises(ConfigError, match="will run as root"):
        environment.process(obj, obj["spec"]["containers"][0], IMAGE, {})


def test_a_command_replaces_a_binary_images_program_and_arguments_follow_it() -> None:
    obj = pod({"args": ["-v"]})
    binary = Image("x", binary="/bin/prog")
    assert environment.process(obj, obj["spec"]["containers"][0], binary, {}).argv == ("/bin/prog", "-v")


def test_hosts_and_resolver() -> None:
    obj = pod(hostname="web-0", subdomain="web", hostAliases=[{"ip": "1.2.3.4", "hostnames": ["a", "b"]}])
    files = environment.root_files(obj, FACTS)
    assert files["/etc/hostname"] == "web-0\n"
    assert "10.244.0.9\tweb-0.web.n.svc.cluster.local\tweb-0" in files["/etc/hosts"]
    assert "1.2.3.4\ta b" in files["/etc/hosts"]
    assert files["/etc/resolv.conf"] == (
        "search n.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"
    )
    none = pod(dnsPolicy="None", dnsConfig={"nameservers": ["9.9.9.9"], "options": [{"name": "ndots", "value": "1"}]})
    assert environment.root_files(none, FACTS)["/etc/resolv.conf"] == "nameserver 9.9.9.9\noptions ndots:1\n"


def test_mounts_come_outer_before_inner_and_stay_inside_their_volume() -> None:
    container = {
        "volumeMounts": [
            {"name": "v", "mountPath": "/a/b/c", "subPath": "x", "readOnly": True},
            {"name": "v", "mountPath": "/a"},
        ]
    }
    mounts = environment.mounts(container, {"v": "/src"}, {})
    assert [(m.source, m.target, m.readonly) for m in mounts] == [("/src", "/a", False), ("/src/x", "/a/b/c", True)]
    with pytest.raises(ConfigError, match="no such volume"):
        environment.mounts({"volumeMounts": [{"name": "w", "mountPath": "/w"}]}, {}, {})
    with pytest.raises(ConfigError, match=r"\.\."):
        environment.mounts({"volumeMounts": [{"name": "v", "mountPath": "/w", "subPath": "../x"}]}, {"v": "/s"}, {})


def test_a_projected_volume_gathers_its_sources() -> None:
    volume: Obj = {
        "name": "v",
        "projected": {
            "defaultMode": 0o600,
            "sources": [
                {"serviceAccountToken": {"path": "token", "audience": "istio-ca", "expirationSeconds": 43200}},
                {"configMap": {"name": "cm", "items": [{"key": "color", "path": "sub/color", "mode": 0o444}]}},
                {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels['app']"}}]}},
            ],
        },
    }
    request = volumes.TokenRequest("istio-ca", 43200)
    obj = pod(volumes=[volume])
    assert volumes.token_requests(obj) == {request}
    files = volumes.content(volume, obj, FACTS, {request: "t0ken"})
    assert files == {
        "token": volumes.File(b"t0ken", 0o600),
        "sub/color": volumes.File(b"red", 0o444),
        "labels": volumes.File(b"web", 0o600),
    }


def test_a_missing_source_is_named_unless_it_is_optional() -> None:
    obj = pod()
    with pytest.raises(volumes.VolumeMissing, match='configmap "gone" not found'):
        volumes.content({"name": "v", "configMap": {"name": "gone"}}, obj, FACTS, {})
    assert volumes.content({"name": "v", "configMap": {"name": "gone", "optional": True}}, obj, FACTS, {}) == {}
    with pytest.raises(volumes.VolumeMissing, match="non-existent secret key: nope"):
        items = [{"key": "nope", "path": "x"}]
        volumes.content({"name": "v", "secret": {"secretName": "s", "items": items}}, obj, FACTS, {})


def test_files_change_all_at_once(tmp_path: Path) -> None:
    first = {"a": volumes.File(b"1"), "d/b": volumes.File(b"2", 0o400)}
    assert volumes.write_files(tmp_path, first)
    assert (tmp_path / "a").read_bytes() == b"1" and (tmp_path / "d/b").read_bytes() == b"2"
    assert (tmp_path / "d/b").stat().st_mode & 0o777 == 0o400
    assert not volumes.write_files(tmp_path, first), "nothing to do the second time"
    held = (tmp_path / "a").open()
    assert volumes.write_files(tmp_path, {"a": volumes.File(b"9")})
    with held:
        assert held.read() == "1", "an open file stays what it was"
    assert (tmp_path / "a").read_bytes() == b"9"
    assert not (tmp_path / "d").exists()


def test_services_of_the_namespace_are_linked() -> None:
    service = {
        "metadata": {"name": "my-web"},
        "spec": {"clusterIP": "10.96.0.7", "ports": [{"name": "http-x", "port": 80}, {"port": 53, "protocol": "UDP"}]},
    }
    headless = {"metadata": {"name": "h"}, "spec": {"clusterIP": "None", "ports": [{"port": 1}]}}
    result = servicelinks.links([service, headless, servicelinks.kubernetes("10.96.0.1")])
    assert result["MY_WEB_SERVICE_HOST"] == "10.96.0.7" and result["MY_WEB_SERVICE_PORT_HTTP_X"] == "80"
    assert result["MY_WEB_PORT_53_UDP"] == "udp://10.96.0.7:53"
    assert result["KUBERNETES_PORT_443_TCP"] == "tcp://10.96.0.1:443"
    assert not any(name.startswith("H_") for name in result)
