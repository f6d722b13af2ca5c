"""What a cluster has before anyone asks: namespaces, default roles, the Service ``kubernetes``."""

from __future__ import annotations

import ipaddress
from typing import Any

from meshtest.embedded.config import ApiServerConfig

from . import bootstrap_roles, metadata
from .kinds import Kind, Registry
from .rules import for_kind
from .store import Store

Obj = dict[str, Any]
NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


def populate(store: Store, registry: Registry, config: ApiServerConfig) -> None:
    """Fill an empty store."""
    for name in NAMESPACES:
        _put(store, registry, "v1", "Namespace", {"metadata": {"name": name}})
    for obj in bootstrap_roles.objects():
        _put(store, registry, obj["apiVersion"], obj["kind"], obj)
    _kubernetes_service(store, registry, config)


def _kubernetes_service(store: Store, registry: Registry, config: ApiServerConfig) -> None:
    first = str(ipaddress.ip_network(config.service_cidrs[0])[1])
    family = f"IPv{ipaddress.ip_address(first).version}"
    labels = {"component": "apiserver", "provider": "kubernetes"}
    meta = {"name": "kubernetes", "namespace": "default", "labels": labels}
    spec = {
        "clusterIP": first,
        "clusterIPs": [first],
        "ipFamilies": [family],
        "ipFamilyPolicy": "SingleStack",
        "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": config.advertise_port}],
    }
    _put(store, registry, "v1", "Service", {"metadata": dict(meta), "spec": spec})
    subset = {
        "addresses": [{"ip": config.advertise_address}],
        "ports": [{"name": "https", "port": config.advertise_port, "protocol": "TCP"}],
    }
    own = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    _put(store, registry, "v1", "Endpoints", {"metadata": {**meta, "labels": own}, "subsets": [subset]})
    piece = {
        "metadata": {**meta, "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": f"IPv{ipaddress.ip_address(config.advertise_address).version}",
        "endpoints": [{"addresses": [config.advertise_address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": config.advertise_port, "protocol": "TCP"}],
    }
    _put(store, registry, "discovery.k8s.io/v1", "EndpointSlice", piece)


def _put(store: Store, registry: Registry, api_version: str, name: str, obj: Obj) -> None:
    kind = _kind(registry, api_version, name)
    obj["apiVersion"], obj["kind"] = api_version, name
    rules = for_kind(kind)
    metadata.fill(obj["metadata"], kind.generation)
    rules.default(obj)
    rules.create(obj)
    store.collection(kind.key).put(obj)


def _kind(registry: Registry, api_version: str, name: str) -> Kind:
    found = registry.of_kind(api_version.rpartition("/")[0], name)
    if found is None:
        raise LookupError(f"no built-in kind {name} in {api_version}")
    return found
