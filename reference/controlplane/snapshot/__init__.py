"""The immutable state of the mesh at one moment, and what each namespace may see of it.

    inputs -> build_snapshot(inputs, previous) -> Snapshot
    slices, pods -> build_endpoints(...) -> EndpointTable   (beside it: endpoint changes skip the snapshot)

Pure; must not import `generate`, `xds` or anything that does I/O.
"""

from reference.controlplane.registry.endpoints import EndpointTable
from reference.controlplane.snapshot.affected import Viewer, affected, affected_by_endpoints
from reference.controlplane.snapshot.build import Inputs, build_endpoint_table, build_snapshot
from reference.controlplane.snapshot.indexes import DestinationIndex, RuleIndex, ServiceIndex
from reference.controlplane.snapshot.memo import Memo
from reference.controlplane.snapshot.model import Snapshot

__all__ = [
    "DestinationIndex",
    "EndpointTable",
    "Inputs",
    "Memo",
    "RuleIndex",
    "ServiceIndex",
    "Snapshot",
    "Viewer",
    "affected",
    "affected_by_endpoints",
    "build_endpoint_table",
    "build_snapshot",
]
