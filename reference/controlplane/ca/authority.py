"""The root's home in the cluster: the Secret that keeps it, and the config map in every namespace that spreads it."""

import asyncio
import base64
import logging

from kubeclient import ApiError, Client, Event, Informer, Obj
from kubeclient.resources import CONFIG_MAPS, SECRETS
from reference.controlplane.ca.signing import Root, make_root, now

log = logging.getLogger(__name__)
SECRET = "istio-ca-secret"
ROOT_CONFIG_MAP = "istio-ca-root-cert"
CERT, KEY, ROOT = "ca-cert.pem", "ca-key.pem", "root-cert.pem"


async def load_or_create_root(client: Client, namespace: str, trust_domain: str) -> Root:
    """The root in Secret istio-ca-secret; made and stored when there is none. Replicas that race agree on one."""
    for _ in range(5):
        try:
            return root_of(await client.get(SECRETS, SECRET, namespace))
        except ApiError as error:
            if not error.is_not_found:
                raise
        root = make_root(trust_domain, now())
        try:
            await client.create(SECRETS, secret_of(root, namespace), namespace)
        except ApiError as error:
            if not error.is_already_exists:
                raise
        else:
            return root
    raise RuntimeError(f"secret {namespace}/{SECRET} neither exists nor can be created")


def secret_of(root: Root, namespace: str) -> Obj:
    """The Secret that keeps `root`."""
    data = {CERT: base64.b64encode(root.certificate).decode(), KEY: base64.b64encode(root.key).decode()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": namespace},
        "type": "istio.io/ca-root",
        "data": data,
    }


def root_of(secret: Obj) -> Root:
    """What `secret_of` stored. Raises ValueError naming the missing key."""
    data = secret.get("data") or {}
    for key in (CERT, KEY):
        if key not in data:
            raise ValueError(f"secret {SECRET}: expected key {key!r}, got {sorted(data)}; delete it to get a new root")
    return Root(base64.b64decode(data[CERT]), base64.b64decode(data[KEY]))


def root_config_map(root_pem: bytes, namespace: str) -> Obj:
    """What pods mount to trust the mesh."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": ROOT_CONFIG_MAP, "namespace": namespace, "labels": {"istio.io/config": "true"}},
        "data": {ROOT: root_pem.decode()},
    }


class RootDistributor:
    """Keeps the root's config map in every namespace: written when a namespace appears or the map changes."""

    def __init__(self, client: Client, root_pem: bytes, namespaces: Informer) -> None:
        self._client, self._root_pem = client, root_pem
        self._namespaces = namespaces
        self._due: set[str] = set()
        self._wake = asyncio.Event()
        self._maps = Informer(client, CONFIG_MAPS, field_selector=f"metadata.name={ROOT_CONFIG_MAP}")

    def _on_namespace(self, event: Event) -> None:
        if event.type != "DELETED":
            self._want(event.obj["metadata"]["name"])

    def _on_map(self, event: Event) -> None:
        if event.obj["metadata"]["name"] == ROOT_CONFIG_MAP:
            self._want(event.obj["metadata"]["namespace"])

    def _want(self, namespace: str) -> None:
        found = self._namespaces.get(None, namespace)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return
        known = self._maps.get(namespace, ROOT_CONFIG_MAP)
        if known is None or (known.get("data") or {}).get(ROOT) != self._root_pem.decode():
            self._due.add(namespace)
            self._wake.set()

    async def run(self) -> None:
        """Never ends by itself."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._maps.run())
            await self._maps.synced.wait()
            self._maps.subscribe(self._on_map)
            self._namespaces.subscribe(self._on_namespace)
            while True:
                await self._wake.wait()
                self._wake.clear()
                due, self._due = self._due, set()
                await asyncio.gather(*(self._write(namespace) for namespace in due))

    async def _write(self, namespace: str) -> None:
        body = root_config_map(self._root_pem, namespace)
        try:
            try:
                await self._client.create(CONFIG_MAPS, body, namespace)
            except ApiError as error:
                if not error.is_already_exists:
                    raise
                await self._client.patch(CONFIG_MAPS, ROOT_CONFIG_MAP, {"data": body["data"]}, namespace)
        except ApiError as error:
            if not error.is_not_found:
                log.warning("config map %s in namespace %s: %s", ROOT_CONFIG_MAP, namespace, error)
