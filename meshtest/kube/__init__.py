"""The Kubernetes client as tests want it: blocking, with deadlines, and able to open a connection into a pod.

A facade over kubeclient, whose coroutines all run on one background loop thread. Must not import anything else of
meshtest.
"""

from meshtest.kube.client import Kube
from meshtest.kube.dialers import Dialer, PortForwardDialer, UnixSocketDialer
from meshtest.kube.errors import DeadlineExceeded, DialError
from meshtest.kube.loop import LoopThread

__all__ = [
    "DeadlineExceeded",
    "DialError",
    "Dialer",
    "Kube",
    "LoopThread",
    "PortForwardDialer",
    "UnixSocketDialer",
]
