"""A Kubernetes small enough to start in a second, on one Linux machine, as root, with nothing installed.

A *cluster set* is some clusters under one supervisor. `ClusterSet.start` brings one up; from there on a kubeconfig is
all that anyone needs. This package imports nothing else of meshtest, and not the reference mesh.
"""

from meshtest.embedded.clusterset import (
    ClusterSet,
    ClusterSetSpec,
    EmbeddedError,
    attach,
    check_machine,
    cleanup,
    default_state_root,
    find,
)
from meshtest.embedded.supervisor.topology import ClusterSpec, InvalidSpec

__all__ = [
    "ClusterSet",
    "ClusterSetSpec",
    "ClusterSpec",
    "EmbeddedError",
    "InvalidSpec",
    "attach",
    "check_machine",
    "cleanup",
    "default_state_root",
    "find",
]
