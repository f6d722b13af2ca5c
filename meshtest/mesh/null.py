"""No mesh: plain workloads that reach each other through the cluster alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from meshtest.environment import Environment
from meshtest.framework.errors import Unsupported
from meshtest.framework.mesh import DEFAULT_PROFILE, AccessLogLine, ObjectRef, PodRef, Profile, Settled


class NullMesh:
    """Installs nothing, settles at once, proves no identity."""

    name = "none"
    capabilities: frozenset[str] = frozenset()
    dialects: frozenset[str] = frozenset()
    root_namespace = ""

    def attach(self, environment: Environment) -> None:
        """Nothing to know."""

    def close(self) -> None:
        """Nothing is held."""

    def install(self, profile: Profile = DEFAULT_PROFILE) -> None:
        """Nothing to do."""

    def uninstall(self) -> None:
        """Nothing to do."""

    def reconfigure(self, mesh_config: Mapping[str, Any]) -> None:
        """Errors: Unsupported."""
        raise Unsupported(f"--mesh none has no mesh-wide settings, asked for {', '.join(mesh_config)}")

    def namespace_labels(self) -> Mapping[str, str]:
        """None."""
        return {}

    def settle(self, objects: Sequence[ObjectRef], *, timeout_s: float = 10.0) -> Settled:  # noqa: ARG002
        """Nobody is concerned."""
        return Settled()

    def access_log(self, request_id: str, pods: Sequence[PodRef]) -> list[AccessLogLine]:  # noqa: ARG002
        """No proxies, no lines."""
        return []

    def identity(self, namespace: str, service_account: str) -> str:
        """Errors: Unsupported."""
        raise Unsupported(f"--mesh none gives workloads no identity, asked for {namespace}/{service_account}")

    def dump(self, pods: Sequence[PodRef], directory: Path) -> None:
        """Nothing to tell."""
