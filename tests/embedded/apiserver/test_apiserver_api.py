"""The API over TLS: verbs, conflicts, deletion, lists, watches, refusals."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import orjson
import pytest

pytestmark = pytest.mark.anyio
Obj = dict[str, Any]
MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
MERGE = "application/merge-patch+json"


def _map(name: str, **data: str) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def _pod(name: str, **spec: Any) -> Obj:
    containers = [{"name": "c", "image": "meshtest/echo"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers, **spec}}


async def test_nobody_gets_in_without_credentials(api: Any) -> None:
    async with aiohttp.ClientSession() as session:
        for path, code in ((MAPS, 401), ("/api", 401), ("/version", 200), ("/readyz", 200), ("/livez", 200)):
            async with session.get(api.url + path, ssl=False) as response:
                assert (path, response.status) == (path, code)
        headers = {"Authorization": "Bearer not.a.token"}
        async with session.get(api.url + "/version", ssl=False, headers=headers) as response:
            assert response.status == 401


async def test_tokens_live_as_long_as_what_they_are_bound_to(api: Any) -> None:
    assert (await api("POST", PODS, _pod("p"))).code == 201
    accounts = "/api/v1/namespaces/default/serviceaccounts/default/token"
    spec = {"audiences": [], "boundObjectRef": {"kind": "Pod", "name": "p"}, "expirationSeconds": 600}
    token = (await api("POST", accounts, {"spec": spec})).body["status"]["token"]
    spec = {"audiences": ["istio-ca"], "expirationSeconds": 600}
    foreign = (await api("POST", accounts, {"spec": spec})).body["status"]["token"]

    async def review(token: str, *audiences: str) -> Obj:
        body = {"spec": {"token": token, "audiences": list(audiences)}}
        status: Obj = (await api("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body)).body["status"]
        return status

    status = await review(token)
    assert status["user"]["username"] == "system:serviceaccount:default:default"
    assert status["user"]["extra"]["authentication.kubernetes.io/pod-name"] == ["p"]
    assert (await review(foreign, "istio-ca"))["audiences"] == ["istio-ca"]
    assert not (await review(foreign))["authenticated"]
    await api("DELETE", f"{PODS}/p")
    assert not (await review(token))["authenticated"]


async def test_stale_versions_conflict(api: Any) -> None:
    made = (await api("POST", MAPS, _map("c", a="1"))).body
    changed = await api("PUT", f"{MAPS}/c", {**made, "data": {"a": "2"}})
    assert changed.code == 200
    stale = await api("PUT", f"{MAPS}/c", {**made, "data": {"a": "3"}})
    assert (stale.code, stale.body["reason"]) == (409, "Conflict")
    assert stale.body["message"] == (
        'Operation cannot be fulfilled on configmaps "c": the object has been modified; please apply your changes to '
        "the latest version and try again"
    )
    unconditional = await api("PUT", f"{MAPS}/c", _map("c", a="3"))
    assert unconditional.code == 200
    again = await api("PUT", f"{MAPS}/c", _map("c", a="3"))
    assert again.body["metadata"]["resourceVersion"] == unconditional.body["metadata"]["resourceVersion"]


async def test_names(api: Any) -> None:
    assert (await api("POST", MAPS, _map("c"))).code == 201
    assert (await api("POST", MAPS, _map("c"))).body["message"] == 'configmaps "c" already exists'
    assert (await api("GET", f"{MAPS}/d")).body["message"] == 'configmaps "d" not found'
    assert (await api("POST", MAPS, _map("Bad"))).code == 422
    generated = await api("POST", MAPS, {"metadata": {"generateName": "g-"}})
    assert generated.body["metadata"]["name"].startswith("g-")
    assert (await api("GET", "/api/v1/namespaces/default/nothings")).body["reason"] == "NotFound"


async def test_dry_run_keeps_nothing(api: Any) -> None:
    assert (await api("POST", f"{MAPS}?dryRun=All", _map("c"))).code == 201
    assert (await api("GET", f"{MAPS}/c")).code == 404


async def test_wrong_types_and_unknown_fields(api: Any) -> None:
    wrong = await api("POST", PODS, _pod("p", containers="x"))
    assert wrong.code == 400
    assert "json: cannot unmarshal string into Go struct field PodSpec.spec.containers" in wrong.body["message"]
    body = {**_map("c"), "dat": {}}
    assert 'unknown field "dat"' in (await api("POST", f"{MAPS}?fieldValidation=Strict", body)).body["message"]
    warned = await api("POST", f"{MAPS}?fieldValidation=Warn", body)
    assert (warned.code, warned.headers["Warning"]) == (201, '299 - "unknown field \\"dat\\""')


async def test_pods_end_gracefully(api: Any) -> None:
    await api("POST", PODS, _pod("p", nodeName="n", terminationGracePeriodSeconds=5))
    first = await api("DELETE", f"{PODS}/p")
    assert first.body["metadata"]["deletionGracePeriodSeconds"] == 5
    assert (await api("GET", f"{PODS}/p")).code == 200
    await api("DELETE", f"{PODS}/p?gracePeriodSeconds=0")
    assert (await api("GET", f"{PODS}/p")).code == 404


async def test_finalizers_hold_until_removed(api: Any) -> None:
    held = _map("c")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await api("POST", MAPS, held)
    await api("DELETE", f"{MAPS}/c")
    found = (await api("GET", f"{MAPS}/c")).body
    assert found["metadata"]["deletionTimestamp"]
    assert (await api("PATCH", f"{MAPS}/c", {"metadata": {"finalizers": None}}, media=MERGE)).code == 200
    assert (await api("GET", f"{MAPS}/c")).code == 404


async def test_foreground_deletion_waits_for_the_collector(api: Any) -> None:
    await api("POST", MAPS, _map("c"))
    await api("DELETE", f"{MAPS}/c", {"propagationPolicy": "Foreground"})
    assert (await api("GET", f"{MAPS}/c")).body["metadata"]["finalizers"] == ["foregroundDeletion"]


async def test_status_is_a_part_of_its_own(api: Any) -> None:
    made = (await api("POST", PODS, {**_pod("p"), "status": {"phase": "Failed"}})).body
    assert made["status"]["phase"] == "Pending"
    body = {**made, "status": {"phase": "Running"}, "spec": {**made["spec"], "nodeName": "x"}}
    changed = (await api("PUT", f"{PODS}/p/status", body)).body
    assert (changed["status"], changed["spec"].get("nodeName")) == ({"phase": "Running"}, None)
    bound = await api("POST", f"{PODS}/p/binding", {"target": {"kind": "Node", "name": "n"}})
    assert bound.code == 201
    assert (await api("GET", f"{PODS}/p")).body["spec"]["nodeName"] == "n"
    frozen = await api("PATCH", f"{PODS}/p", {"spec": {"hostNetwork": True}}, media=MERGE)
    assert "pod updates may not change fields" in frozen.body["message"]


async def test_pods_get_their_account(api: Any) -> None:
    spec = (await api("POST", PODS, _pod("p"))).body["spec"]
    assert spec["serviceAccountName"] == "default"
    mount = spec["containers"][0]["volumeMounts"][0]
    assert mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
    assert spec["volumes"][0]["name"] == mount["name"]
    refused = await api("POST", PODS, _pod("q", serviceAccountName="nobody"))
    assert (refused.code, 'serviceaccount "nobody" not found' in refused.body["message"]) == (403, True)


async def test_lists_in_chunks_show_one_state(api: Any) -> None:
    for index in range(5):
        await api("POST", MAPS, _map(f"c{index}"))
    first = (await api("GET", f"{MAPS}?limit=2")).body
    await api("DELETE", f"{MAPS}/c3")
    token = first["metadata"]["continue"]
    second = (await api("GET", f"{MAPS}?limit=2&continue={token}")).body
    third = (await api("GET", f"{MAPS}?limit=2&continue={second['metadata']['continue']}")).body
    names = [item["metadata"]["name"] for chunk in (first, second, third) for item in chunk["items"]]
    assert names == ["c0", "c1", "c2", "c3", "c4"]
    assert "continue" not in third["metadata"]
    assert (await api("GET", f"{MAPS}?continue=rubbish")).code == 400


async def test_deletecollection_by_selector(api: Any) -> None:
    for name, app in (("a", "x"), ("b", "y")):
        body = _map(name)
        body["metadata"]["labels"] = {"app": app}
        await api("POST", MAPS, body)
    await api("DELETE", f"{MAPS}?labelSelector=app%3Dx")
    assert [item["metadata"]["name"] for item in (await api("GET", MAPS)).body["items"]] == ["b"]


async def _events(api: Any, query: str, count: int) -> list[tuple[str, str]]:
    async with api.session.get(f"{api.url}{MAPS}?watch=true&{query}") as response:
        found = []
        async for line in response.content:
            event = orjson.loads(line)
            found.append((event["type"], event["object"]["metadata"].get("name", "")))
            if len(found) == count:
                return found
        raise AssertionError(f"the watch ended after {found}")


async def test_watch_replays_then_follows(api: Any) -> None:
    start = (await api("POST", MAPS, _map("a"))).body["metadata"]["resourceVersion"]
    await api("POST", MAPS, _map("b"))
    async with asyncio.timeout(5):
        watching = asyncio.ensure_future(_events(api, f"resourceVersion={start}", 3))
        await api("PATCH", f"{MAPS}/b", {"data": {"x": "1"}}, media=MERGE)
        await api("DELETE", f"{MAPS}/b")
        assert await watching == [("ADDED", "b"), ("MODIFIED", "b"), ("DELETED", "b")]
        initial = await _events(api, "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersion=0", 2)
    assert initial == [("ADDED", "a"), ("BOOKMARK", "")]


async def test_watch_by_label_sees_objects_come_and_go(api: Any) -> None:
    async with asyncio.timeout(5):
        watching = asyncio.ensure_future(_events(api, "labelSelector=on&resourceVersion=1", 2))
        await api("POST", MAPS, _map("a"))
        await api("PATCH", f"{MAPS}/a", {"metadata": {"labels": {"on": "1"}}}, media=MERGE)
        await api("PATCH", f"{MAPS}/a", {"metadata": {"labels": None}}, media=MERGE)
        assert await watching == [("ADDED", "a"), ("DELETED", "a")]


async def test_services_get_addresses_and_ports(api: Any) -> None:
    services = "/api/v1/namespaces/default/services"

    def service(name: str, **spec: Any) -> Obj:
        return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}}

    one = (await api("POST", services, service("one"))).body["spec"]
    two = (await api("POST", services, service("two", type="NodePort"))).body["spec"]
    assert one["clusterIP"] != two["clusterIP"]
    assert 30000 <= two["ports"][0]["nodePort"] < 32768
    taken = await api("POST", services, service("three", clusterIP=one["clusterIP"]))
    assert (taken.code, "provided IP is already allocated" in taken.body["message"]) == (422, True)
    assert (await api("POST", services, service("four", clusterIP="None"))).body["spec"]["clusterIPs"] == ["None"]
    await api("DELETE", f"{services}/one")
    assert (await api("POST", services, service("five", clusterIP=one["clusterIP"]))).code == 201


async def test_rbac_decides_and_explains(api: Any) -> None:
    me = {"Impersonate_User": "ann"}
    refused = await api("GET", PODS, **me)
    assert refused.body["message"] == (
        'pods is forbidden: User "ann" cannot list resource "pods" in API group "" in the namespace "default"'
    )
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings"
    subject = {"kind": "User", "name": "ann"}
    body = {"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": [subject]}
    assert (await api("POST", rbac, body)).code == 201
    assert (await api("GET", PODS, **me)).code == 200
    assert (await api("POST", PODS, _pod("p"), **me)).code == 403
    assert (await api("GET", "/api/v1/namespaces/kube-system/pods", **me)).code == 403
    await api("DELETE", f"{rbac}/b")
    assert (await api("GET", PODS, **me)).code == 403


async def test_the_service_of_the_api_itself(api: Any) -> None:
    service = (await api("GET", "/api/v1/namespaces/default/services/kubernetes")).body
    assert service["spec"]["clusterIP"] == "10.96.0.1"
    slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"
    assert (await api("GET", slices)).body["endpoints"][0]["addresses"] == ["127.0.0.1"]


async def test_managed_fields_of_a_client_are_checked(api: Any) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    made = await api("POST", path, {"metadata": {"name": "managed"}, "data": {"a": "b"}})
    stored = made.body["metadata"]["managedFields"]
    for wrong in ({"value": 1}, ["x"], "x"):
        body = {"metadata": {"name": "managed", "managedFields": wrong}, "data": {"a": "b"}}
        answer = await api("PUT", f"{path}/managed", body)
        assert answer.code == 400, answer
        assert "metadata.managedFields" in answer.body["message"]
    body = {"metadata": {"name": "managed", "managedFields": [{"fieldsV1": {"f:data": 1}}]}, "data": {"a": "b"}}
    answer = await api("PUT", f"{path}/managed", body)
    assert answer.code == 200, answer
    assert answer.body["metadata"]["managedFields"] == stored
