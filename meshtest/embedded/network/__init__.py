"""Links, addresses, packet rules and names of the embedded cluster's nodes and pods.

Everything happens in network namespaces that the cluster set made; the host's links and rules are never touched.
Imports neither ``apiserver`` nor ``controllers``.
"""
