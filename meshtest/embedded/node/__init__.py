"""The node: what the kubelet is to Kubernetes. Runs the pods that are bound to it and reports how they do.

What to do next is decided by pure functions over a pod's spec and the state of its containers (``lifecycle``,
``status``, ``environment``, ``volumes``, ``probing``). One ``worker`` a pod carries it out with ``containers``,
``keeper`` and ``reporter`` through the warm process; ``kubelet`` has the workers, ``server`` and ``dial`` let others
in. The node is a client of the API server like any other: it never imports ``apiserver`` or ``controllers``.
"""
