"""Connections from kubeconfig files (https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/)."""

import base64
import os
import ssl
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from kubeclient.connection import Connection, TokenFile
from kubeclient.errors import KubeError
from kubeclient.resources import Obj

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
EXEC_TOKEN_SECONDS = 60.0
"""How long an exec plugin's answer is used before the plugin is asked again; plugins keep their own caches."""


def connection_from_kubeconfig(path: str | os.PathLike[str], context: str | None = None) -> Connection:
    """The connection of one context (default: the current one) of the kubeconfig at `path`.

    Certificates, keys and tokens may be inline or files, relative to the kubeconfig. Exec plugins need the `kubernetes`
    package.
    """
    file = Path(path).expanduser()
    try:
        config = yaml.load(file.read_bytes(), Loader=_Loader)
    except FileNotFoundError:
        raise KubeError(f"kubeconfig {file} does not exist; is the cluster up?") from None
    if not isinstance(config, dict):
        raise KubeError(f"kubeconfig {file}: expected a mapping, got {type(config).__name__}")
    name = context or config.get("current-context")
    if not name:
        raise KubeError(f"kubeconfig {file}: has no current-context; name a context")
    selected = _named(file, config, "contexts", "context", str(name))
    cluster = _named(file, config, "clusters", "cluster", str(selected.get("cluster")))
    user = _named(file, config, "users", "user", str(selected["user"])) if selected.get("user") else {}
    return Connection(
        server=str(cluster["server"]).rstrip("/"),
        ssl=_ssl_context(file, cluster, user),
        token=_token(file, str(name), user),
        namespace=str(selected.get("namespace") or "default"),
        server_name=cluster.get("tls-server-name"),
    )


def _named(file: Path, config: Obj, section: str, key: str, name: str) -> Obj:
    entries = config.get(section) or []
    for entry in entries:
        if entry.get("name") == name:
            return dict(entry.get(key) or {})
    known = ", ".join(str(entry.get("name")) for entry in entries) or "none"
    raise KubeError(f"kubeconfig {file}: {section} has no {name!r}; it has: {known}")


def _bytes(file: Path, section: Obj, key: str) -> bytes | None:
    """The value of `<key>-data` (base64) or the content of the file that `<key>` names."""
    if data := section.get(f"{key}-data"):
        return base64.b64decode(data)
    if name := section.get(key):
        return (file.parent / str(name)).read_bytes()
    return None


def _ssl_context(file: Path, cluster: Obj, user: Obj) -> ssl.SSLContext | None:
    if not str(cluster.get("server", "")).startswith("https://"):
        return None
    authority = _bytes(file, cluster, "certificate-authority")
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = _bytes(file, user, "client-certificate"), _bytes(file, user, "client-key")
    if certificate and key:
        _load_client_certificate(context, certificate, key)
    return context


def _load_client_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    # The ssl module reads key pairs from files only; a file that mkstemp makes has mode 0600.
    descriptor, name = tempfile.mkstemp(prefix="kubeclient-")
    try:
        with os.fdopen(descriptor, "wb") as pair:
            pair.write(certificate.rstrip() + b"\n" + key)
        context.load_cert_chain(name)
    finally:
        Path(name).unlink()


def _token(file: Path, context: str, user: Obj) -> Callable[[], str] | None:
    if token := user.get("token"):
        return lambda: str(token)
    if name := user.get("tokenFile"):
        return TokenFile(file.parent / str(name))
    if user.get("exec") or user.get("auth-provider"):
        return _PluginToken(file, context)
    return None


class _PluginToken:
    """A bearer token from an exec plugin, run by the `kubernetes` package."""

    def __init__(self, file: Path, context: str) -> None:
        self._file, self._context = file, context
        self._token, self._until = "", 0.0
        self._lock = threading.Lock()

    def __call__(self) -> str:
        with self._lock:
            if time.monotonic() >= self._until:
                self._token, self._until = self._ask(), time.monotonic() + EXEC_TOKEN_SECONDS
            return self._token

    def _ask(self) -> str:
        from kubernetes import client, config

        configuration = client.Configuration()
        config.load_kube_config(str(self._file), context=self._context, client_configuration=configuration)
        header = str(configuration.get_api_key_with_prefix("authorization") or "")
        if not header.startswith("Bearer "):
            raise KubeError(
                f"kubeconfig {self._file}: the exec plugin of context {self._context} gave no bearer token; "
                "plugins that answer with client certificates are not supported"
            )
        return header.removeprefix("Bearer ")
