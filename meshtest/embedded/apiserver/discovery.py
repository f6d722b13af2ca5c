"""Discovery: which groups, versions and resources are served; legacy and aggregated (apidiscovery.k8s.io/v2).

Answers are bytes, kept until the registry changes.
"""

from __future__ import annotations

from typing import Any

import orjson

from .kinds import Kind, Registry, version_rank

Obj = dict[str, Any]
_CONNECT = {
    "attach": ("PodAttachOptions", ("create", "get")),
    "exec": ("PodExecOptions", ("create", "get")),
    "portforward": ("PodPortForwardOptions", ("create", "get")),
    "log": ("Pod", ("get",)),
    "proxy": ("", ("create", "delete", "get", "patch", "update")),
    "binding": ("Binding", ("create",)),
    "eviction": ("Eviction", ("create",)),
    "token": ("TokenRequest", ("create",)),
    "finalize": ("", ("update",)),
    "approval": ("", ("get", "patch", "update")),
}
_EDIT = ("get", "patch", "update")
_SUB_GROUPS = {"eviction": ("policy", "v1"), "token": ("authentication.k8s.io", "v1"), "scale": ("autoscaling", "v1")}


class Discovery:
    """Encoded answers."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._seen = -1
        self._answers: dict[str, bytes] = {}

    def _fresh(self) -> dict[str, bytes]:
        if self._seen != self._registry.generation:
            self._answers = {}
            self._seen = self._registry.generation
        return self._answers

    def group_versions(self) -> bytes:
        """``/apis``."""
        answers = self._fresh()
        if "/apis" not in answers:
            groups = [_group(name, versions) for name, versions in self._registry.groups().items() if name]
            answers["/apis"] = orjson.dumps({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        return answers["/apis"]

    def core_versions(self) -> bytes:
        """``/api``."""
        address = [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}]
        return orjson.dumps({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": address})

    def group(self, name: str) -> bytes | None:
        """``/apis/GROUP``; None when there is no such group."""
        versions = self._registry.groups().get(name)
        if not versions or not name:
            return None
        return orjson.dumps({"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)})

    def resources(self, group: str, version: str) -> bytes | None:
        """``/apis/GROUP/VERSION`` and ``/api/v1``."""
        answers = self._fresh()
        key = f"{group}/{version}"
        if key not in answers:
            kinds = [kind for kind in self._registry if kind.group == group and version in kind.versions]
            if not kinds:
                return None
            resources = [entry for kind in kinds for entry in _legacy(kind, version)]
            listing = {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": f"{group}/{version}" if group else version,
                "resources": resources,
            }
            answers[key] = orjson.dumps(listing)
        return answers[key]

    def aggregated(self, core: bool) -> bytes:
        """The answer to ``/api`` or ``/apis`` for clients that accept APIGroupDiscoveryList."""
        answers = self._fresh()
        key = "aggregated core" if core else "aggregated"
        if key not in answers:
            items = [
                {
                    "metadata": {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None},
                    "versions": [
                        {
                            "version": version,
                            "resources": [
                                _aggregated(kind, version)
                                for kind in self._registry
                                if kind.group == group and version in kind.versions
                            ],
                            "freshness": "Current",
                        }
                        for version in versions
                    ],
                }
                for group, versions in self._registry.groups().items()
                if bool(group) is not core
            ]
            document = {
                "kind": "APIGroupDiscoveryList",
                "apiVersion": "apidiscovery.k8s.io/v2",
                "metadata": {},
                "items": items,
            }
            answers[key] = orjson.dumps(document)
        return answers[key]


def _group(name: str, versions: list[str]) -> Obj:
    listed = [{"groupVersion": f"{name}/{v}", "version": v} for v in sorted(versions, key=version_rank)]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _subresources(kind: Kind, version: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """Name, kind and verbs of each."""
    found: list[tuple[str, str, tuple[str, ...]]] = []
    if kind.has_status(version):
        found.append(("status", kind.kind, _EDIT))
    if version in kind.scale:
        found.append(("scale", "Scale", _EDIT))
    for name in kind.subresources:
        of_kind, verbs = _CONNECT.get(name, ("", _EDIT))
        if name == "proxy":
            of_kind = {"pods": "PodProxyOptions", "services": "ServiceProxyOptions"}.get(
                kind.plural, "NodeProxyOptions"
            )
        found.append((name, of_kind or kind.kind, verbs))
    return found


def _legacy(kind: Kind, version: str) -> list[Obj]:
    entry: Obj = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    out = [entry]
    for name, of_kind, verbs in _subresources(kind, version):
        sub: Obj = {
            "name": f"{kind.plural}/{name}",
            "singularName": "",
            "namespaced": kind.namespaced,
            "kind": of_kind,
            "verbs": list(verbs),
        }
        if name in _SUB_GROUPS:
            sub["group"], sub["version"] = _SUB_GROUPS[name]
        out.append(sub)
    return out


def _aggregated(kind: Kind, version: str) -> Obj:
    entry: Obj = {
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": version, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    subresources = [
        {
            "subresource": name,
            "responseKind": {
                "group": _SUB_GROUPS.get(name, (kind.group, version))[0],
                "version": _SUB_GROUPS.get(name, (kind.group, version))[1],
                "kind": of_kind,
            },
            "verbs": list(verbs),
        }
        for name, of_kind, verbs in _subresources(kind, version)
    ]
    if subresources:
        entry["subresources"] = subresources
    return entry
