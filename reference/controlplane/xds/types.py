"""Type URLs and the order in which a push sends them.

Make before break: what is referred to goes before what refers to it, so clusters and their endpoints come before the
listeners and routes that name them (https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol, "Eventual
consistency considerations").
"""

from collections.abc import Mapping
from typing import Protocol

PREFIX = "type.googleapis.com/"
CDS = PREFIX + "envoy.config.cluster.v3.Cluster"
EDS = PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LDS = PREFIX + "envoy.config.listener.v3.Listener"
RDS = PREFIX + "envoy.config.route.v3.RouteConfiguration"
SDS = PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"
ECDS = PREFIX + "envoy.config.core.v3.TypedExtensionConfig"
ADDRESS = PREFIX + "istio.workload.Address"
WORKLOAD = PREFIX + "istio.workload.Workload"
AUTHORIZATION = PREFIX + "istio.security.Authorization"

PUSH_ORDER = (CDS, EDS, LDS, RDS, SDS, ECDS, ADDRESS, WORKLOAD, AUTHORIZATION)
WILDCARD_TYPES = frozenset({CDS, LDS, ADDRESS, WORKLOAD, AUTHORIZATION})
"""Types for which an empty first subscription means everything."""

SHORT_NAMES = {CDS: "CDS", EDS: "EDS", LDS: "LDS", RDS: "RDS", SDS: "SDS", ECDS: "ECDS"}


def short(type_url: str) -> str:
    """`CDS` for the cluster type and so on; the last part of the name for a type without abbreviation."""
    return SHORT_NAMES.get(type_url) or type_url.rpartition("/")[2].rpartition(".")[2]


def position(type_url: str) -> int:
    """Where the type stands in a push; unknown ones come last."""
    return PUSH_ORDER.index(type_url) if type_url in PUSH_ORDER else len(PUSH_ORDER)


class Resource(Protocol):
    """What a generator gives: a name, a version that changes with the content alone, and the serialized message."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def type_url(self) -> str: ...
    @property
    def body(self) -> bytes: ...


Resources = Mapping[str, Resource]
