"""Paths, watch lines, differences, kubeconfigs, tokens: the parts without a server."""

import base64
from pathlib import Path

import orjson
import pytest
import yaml

from kubeclient import ApiError, KubeError, Obj, connection_from_kubeconfig, connection_in_cluster
from kubeclient.connection import TokenFile
from kubeclient.discovery import parse_resource_list
from kubeclient.informer import differences
from kubeclient.resources import DEPLOYMENTS, NAMESPACES, PODS, WELL_KNOWN
from kubeclient.streams import LogOptions, exit_code_of
from kubeclient.watch import LineSplitter, parse_event


def test_paths_name_namespace_object_and_subresource() -> None:
    assert PODS.path() == "/api/v1/pods"
    assert PODS.path("a", "b", "log") == "/api/v1/namespaces/a/pods/b/log"
    assert DEPLOYMENTS.path("a") == "/apis/apps/v1/namespaces/a/deployments"
    assert NAMESPACES.path("ignored", "a") == "/api/v1/namespaces/a"
    assert WELL_KNOWN["apps/v1", "Deployment"] is DEPLOYMENTS


def test_lines_come_out_whole_however_they_are_cut() -> None:
    splitter = LineSplitter()
    stream = b'{"a":1}\n{"b":' + b" " * 100_000 + b"2}\n\n{}\npartial"
    lines = [line for start in range(0, len(stream), 7777) for line in splitter.feed(stream[start : start + 7777])]
    assert [orjson.loads(line) for line in lines] == [{"a": 1}, {"b": 2}, {}]


def test_an_error_event_is_raised_with_its_status() -> None:
    line = orjson.dumps(
        {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "old"}}
    )
    with pytest.raises(ApiError) as caught:
        parse_event(line)
    assert caught.value.is_gone
    assert "410 Expired: old" in str(caught.value)


def _object(name: str, uid: str, version: str) -> Obj:
    return {"metadata": {"namespace": "n", "name": name, "uid": uid, "resourceVersion": version}}


def test_a_new_list_becomes_events() -> None:
    store = {("n", name): _object(name, name, "1") for name in ("same", "changed", "gone", "again")}
    listed = {
        ("n", "same"): _object("same", "same", "1"),
        ("n", "changed"): _object("changed", "changed", "2"),
        ("n", "again"): _object("again", "another", "3"),
        ("n", "new"): _object("new", "new", "4"),
    }
    events = [(event.type, event.obj["metadata"]["name"]) for event in differences(store, listed)]
    assert events == [
        ("DELETED", "gone"),
        ("DELETED", "again"),
        ("MODIFIED", "changed"),
        ("ADDED", "again"),
        ("ADDED", "new"),
    ]


def test_conflict_and_name_taken_are_told_apart() -> None:
    assert ApiError(409, "Conflict", "changed").is_conflict
    assert not ApiError(409, "AlreadyExists", "taken").is_conflict
    assert ApiError(409, "AlreadyExists", "taken").is_already_exists


def test_subresources_are_no_resources() -> None:
    answer = {
        "resources": [
            {"name": "widgets", "kind": "Widget", "namespaced": True},
            {"name": "widgets/status", "kind": "Widget", "namespaced": True},
        ]
    }
    (found,) = parse_resource_list("example.com/v1", answer)
    assert (found.group, found.version, found.plural, found.kind) == ("example.com", "v1", "widgets", "Widget")


def _kubeconfig(path: Path, user: Obj) -> Path:
    config = {
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1/"}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


def test_a_kubeconfig_with_a_token(tmp_path: Path) -> None:
    connection = connection_from_kubeconfig(_kubeconfig(tmp_path / "config", {"token": "secret"}))
    assert (connection.server, connection.namespace, connection.ssl) == ("http://127.0.0.1:1", "team", None)
    assert connection.token is not None
    assert connection.token() == "secret"


def test_a_token_file_is_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    connection = connection_from_kubeconfig(_kubeconfig(tmp_path / "config", {"tokenFile": "token"}))
    assert connection.token is not None
    assert connection.token() == "from-file"


def test_an_unknown_context_is_named_beside_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(KubeError, match=r"contexts has no 'two'; it has: one"):
        connection_from_kubeconfig(_kubeconfig(tmp_path / "config", {}), "two")


def test_a_missing_kubeconfig_says_so(tmp_path: Path) -> None:
    with pytest.raises(KubeError, match="does not exist; is the cluster up"):
        connection_from_kubeconfig(tmp_path / "nowhere")


def test_a_token_is_read_again_when_its_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one")
    token = TokenFile(path)
    assert token() == "one"
    replacement = tmp_path / "next"
    replacement.write_text("two")
    replacement.replace(path)
    assert token() == "two"


def test_in_cluster_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(KubeError, match="KUBERNETES_SERVICE_HOST is not set"):
        connection_in_cluster(tmp_path, {})
    with pytest.raises(KubeError, match="token is missing"):
        connection_in_cluster(tmp_path, {"KUBERNETES_SERVICE_HOST": "10.96.0.1"})


def test_exit_codes_come_from_the_final_status() -> None:
    assert exit_code_of(b'{"status":"Success"}', "exec") == 0
    failed = {
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
    }
    assert exit_code_of(orjson.dumps(failed), "exec") == 3
    with pytest.raises(ApiError, match="no such container"):
        exit_code_of(b'{"status":"Failure","code":400,"message":"no such container"}', "exec")


def test_log_options_become_query_parameters() -> None:
    assert LogOptions("c", follow=True, tail_lines=0).params() == {"container": "c", "follow": "true", "tailLines": "0"}


def test_a_bad_certificate_is_not_swallowed(tmp_path: Path) -> None:
    path = _kubeconfig(tmp_path / "config", {})
    config = yaml.safe_load(path.read_text())
    config["clusters"][0]["cluster"] = {
        "server": "https://127.0.0.1:1",
        "certificate-authority-data": base64.b64encode(b"no pem").decode(),
    }
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(Exception, match=r"PEM|certificate|no start line"):
        connection_from_kubeconfig(path)
