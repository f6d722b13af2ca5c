"""Where clusters come from: embedded, later kind and existing ones. A test asks for capabilities and never for a name.

Must not import anything of meshtest but meshtest.kube; meshtest.environment.embedded alone imports meshtest.embedded.
"""

from meshtest.environment.errors import UsageError
from meshtest.environment.protocol import Attachment, Cluster, Environment
from meshtest.environment.topology import ClusterTopology, Topology

__all__ = ["Attachment", "Cluster", "ClusterTopology", "Environment", "Topology", "UsageError"]
