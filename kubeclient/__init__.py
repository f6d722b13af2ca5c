"""An asynchronous, JSON-first Kubernetes client on aiohttp and orjson.

Objects are plain dictionaries as the API sends them (`Obj`); a `Resource` says where they live. Meshtest's controllers
and nodes, the reference mesh and the test framework all speak to API servers through it, embedded or real ones. It must
stay quick to import and stands alone: never import meshtest, reference or suites here, and the `kubernetes` package
only inside the function that runs exec credential plugins.
"""

from kubeclient.client import Client, ObjectList
from kubeclient.connection import Connection, connection_in_cluster
from kubeclient.errors import ApiError, ConnectionFailed, KubeError, UnknownKind
from kubeclient.informer import Informer
from kubeclient.kubeconfig import connection_from_kubeconfig
from kubeclient.resources import Obj, Resource
from kubeclient.streams import ExecResult
from kubeclient.watch import Event

__all__ = [
    "ApiError",
    "Client",
    "Connection",
    "ConnectionFailed",
    "Event",
    "ExecResult",
    "Informer",
    "KubeError",
    "Obj",
    "ObjectList",
    "Resource",
    "UnknownKind",
    "connection_from_kubeconfig",
    "connection_in_cluster",
]
