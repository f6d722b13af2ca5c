"""What an environment is to the framework."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from meshtest.environment.topology import Topology

if TYPE_CHECKING:  # the client costs 0.2 s to import, and collection needs none
    from meshtest.kube import Kube

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Cluster:
    """One running cluster: `kube` acts on it, `kubeconfig` is for kubectl."""

    name: str
    network: str
    kubeconfig: Path
    kube: Kube


@dataclass(frozen=True, slots=True)
class Attachment:
    """All that another process needs to use a running environment; plain data, travels as JSON."""

    environment: str
    run_id: str
    clusters: tuple[tuple[str, str, str, str], ...]  # name, network, kubeconfig, dial socket or ""


class Environment(Protocol):
    """A running set of clusters. `capabilities` are what tests may require: dial_pod, exec, faults, vm …"""

    @property
    def name(self) -> str: ...
    @property
    def run_id(self) -> str: ...
    @property
    def capabilities(self) -> frozenset[str]: ...
    @property
    def disposable(self) -> bool:
        """Whether the clusters go with the run, so that nothing in them needs to be put back at its end."""

    @property
    def clusters(self) -> tuple[Cluster, ...]: ...

    def attachment(self) -> Attachment:
        """What attach() of another process needs."""

    def keep(self) -> None:
        """Let the clusters outlive this process (--nocleanup)."""

    def stop(self) -> None:
        """Tear down what start() brought up; nothing for attached ones. Idempotent."""


class EnvironmentFactory(Protocol):
    """Makes environments of one kind; found in the registry by the name that --env gives."""

    @property
    def capabilities(self) -> frozenset[str]:
        """What its environments can do; known before anything is started."""

    def check(self) -> None:
        """Whether start() can work on this machine, as far as a moment's look tells. Errors: UsageError."""

    def start(self, topology: Topology, *, run_id: str, progress: Progress) -> Environment:
        """Bring clusters up and return when their API servers answer."""

    def attach(self, attachment: Attachment) -> Environment:
        """Use what another process started; stopping it is not ours."""
