"""snapshot + endpoints + proxy -> resources, for stock Envoy 1.40. Pure.

What is the same for several proxies is built once: results are kept in the snapshot's memo by everything that they
depend on. Must not import `xds`, `ca` or anything that does I/O.
"""

from reference.controlplane.generate.generate import generate
from reference.controlplane.generate.proxy import Proxy
from reference.controlplane.generate.resource import CDS, EDS, LDS, RDS, Resource
from reference.controlplane.snapshot import affected, affected_by_endpoints

__all__ = ["CDS", "EDS", "LDS", "RDS", "Proxy", "Resource", "affected", "affected_by_endpoints", "generate"]
