"""How to reach one API server and who to be there."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kubeclient.errors import KubeError

SERVICE_ACCOUNT_DIR = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Connection:
    """`server` is a base URL without trailing slash; `token` is asked anew for each request; `namespace` is the default
    one.

    `family` restricts name resolution (AF_UNSPEC: any); `server_name` replaces the URL's host in TLS verification.
    """

    server: str
    ssl: ssl.SSLContext | None = None
    token: Callable[[], str] | None = None
    namespace: str = "default"
    family: socket.AddressFamily = socket.AF_UNSPEC
    server_name: str | None = None


class TokenFile:
    """A token that is read again when its file changes: projected service-account tokens are replaced while in use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._token = ""

    def __call__(self) -> str:
        # A projected volume swaps a symbolic link, so inode and time of the file behind it tell a new token.
        stat = self._path.stat()
        stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if stamp != self._stamp:
            self._token = self._path.read_text().strip()
            self._stamp = stamp
        return self._token


def connection_in_cluster(
    directory: Path = SERVICE_ACCOUNT_DIR, environ: Mapping[str, str] | None = None
) -> Connection:
    """The connection of a pod: its service account's token and the address from KUBERNETES_SERVICE_HOST and _PORT."""
    environ = os.environ if environ is None else environ
    host = environ.get("KUBERNETES_SERVICE_HOST")
    if not host:
        raise KubeError(
            "in-cluster connection: KUBERNETES_SERVICE_HOST is not set; expected to run in a pod "
            "(outside one, use a kubeconfig)"
        )
    port = environ.get("KUBERNETES_SERVICE_PORT", "443")
    token_file, ca_file = directory / "token", directory / "ca.crt"
    for file in (token_file, ca_file):
        if not file.is_file():
            raise KubeError(f"in-cluster connection: {file} is missing; is automountServiceAccountToken false?")
    namespace_file = directory / "namespace"
    namespace = namespace_file.read_text().strip() if namespace_file.is_file() else "default"
    context = ssl.create_default_context(cafile=str(ca_file))
    host = f"[{host}]" if ":" in host else host
    return Connection(f"https://{host}:{port}", context, TokenFile(token_file), namespace)
