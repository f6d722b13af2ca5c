"""The default environment: clusters of meshtest.embedded, started and ended with the run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from meshtest.environment.errors import UsageError
from meshtest.environment.protocol import Attachment, Cluster, Environment, Progress
from meshtest.environment.topology import Topology

if TYPE_CHECKING:
    from meshtest.embedded import ClusterSet

CAPABILITIES = frozenset({"dial_pod", "exec", "logs", "fast_start"})


class EmbeddedFactory:
    """Starts cluster sets, held by this process: they end with it, whatever kills it."""

    capabilities = CAPABILITIES

    def check(self) -> None:
        from meshtest.embedded import EmbeddedError, check_machine

        try:
            check_machine()
        except EmbeddedError as error:
            raise UsageError(str(error)) from None

    def start(self, topology: Topology, *, run_id: str, progress: Progress) -> Environment:
        from meshtest.embedded import ClusterSet, ClusterSetSpec, ClusterSpec

        names = ", ".join(cluster.name for cluster in topology.clusters)
        progress(f"starting {names}")
        began = time.monotonic()
        clusters = ClusterSet.start(
            ClusterSetSpec(
                run_id=run_id,
                clusters=[
                    ClusterSpec(name=cluster.name, network=cluster.network, nodes=cluster.nodes)
                    for cluster in topology.clusters
                ],
            )
        )
        progress(f"{names} up after {time.monotonic() - began:.1f} s")
        return EmbeddedEnvironment(attachment_of(clusters), clusters)

    def attach(self, attachment: Attachment) -> Environment:
        return EmbeddedEnvironment(attachment, None)


class EmbeddedEnvironment:
    """One running cluster set; with `owned` it is ours to stop."""

    name = "embedded"
    capabilities = CAPABILITIES
    disposable = True

    def __init__(self, attachment: Attachment, owned: ClusterSet | None) -> None:
        from meshtest.kube import Kube, LoopThread, UnixSocketDialer

        self._attachment = attachment
        self._owned = owned
        self._kept = False
        self._loop = LoopThread(f"meshtest-{attachment.run_id}")
        self.clusters = tuple(
            Cluster(name, network, Path(config), Kube.open(Path(config), self._loop, UnixSocketDialer(Path(dial))))
            for name, network, config, dial in attachment.clusters
        )

    @property
    def run_id(self) -> str:
        """The run's id, which names everything of it on the machine."""
        return self._attachment.run_id

    def attachment(self) -> Attachment:
        """For other processes."""
        return self._attachment

    def keep(self) -> None:
        """Let the clusters outlive this process."""
        self._kept = True
        if self._owned is not None:
            self._owned.release()

    def stop(self) -> None:
        """Close connections; end the clusters if they are ours and not kept. Idempotent."""
        for cluster in self.clusters:
            cluster.kube.close()
        self._loop.close()
        self.clusters = ()
        owned, self._owned = self._owned, None
        if owned is not None and not self._kept:
            owned.stop()


def attachment_of(clusters: ClusterSet) -> Attachment:
    """How to attach to a running cluster set, in the order of its spec."""
    recorded = clusters.status()["clusters"]
    return Attachment(
        environment="embedded",
        run_id=clusters.run_id,
        clusters=tuple(
            (name, str(recorded[name]["network"]), str(clusters.kubeconfig(name)), str(clusters.dial_path(name)))
            for name in clusters.clusters
        ),
    )
