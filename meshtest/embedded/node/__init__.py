"""The node: what the kubelet is to Kubernetes. Runs the pods that are bound to it and reports how they do.

What to do next is decided by pure functions over a pod's spec and the state of its containers (``lifecycle``,
``status``, ``environment``, ``volumes``, ``probing``); ``worker`` carries it out through the warm process. The node
is a client of the API server like any other: it never imports ``apiserver`` or ``controllers``.
"""
