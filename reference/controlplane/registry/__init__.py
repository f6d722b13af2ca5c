"""The service model: what Services, EndpointSlices, Pods and Namespaces mean to a mesh.

Pure: raw API objects in, frozen models out. Must not import `snapshot`, `generate`, `xds` or anything that does I/O.
"""

from reference.controlplane.registry.endpoints import Endpoint, EndpointTable, build_endpoints
from reference.controlplane.registry.model import Locality, Port, Resolution, Service, Workload
from reference.controlplane.registry.protocol import Protocol, detect
from reference.controlplane.registry.services import service_from
from reference.controlplane.registry.workloads import workload_from

__all__ = [
    "Endpoint",
    "EndpointTable",
    "Locality",
    "Port",
    "Protocol",
    "Resolution",
    "Service",
    "Workload",
    "build_endpoints",
    "detect",
    "service_from",
    "workload_from",
]
