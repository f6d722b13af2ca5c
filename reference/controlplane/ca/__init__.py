"""The certificate authority: a root that lives in a Secret, and workload certificates signed against it.

`signing` decides and signs, pure but for the randomness of keys; `authority` keeps the root in the cluster; `tokens`
asks the API server whose token it is; `service` is the gRPC face that Istio's agents and ztunnel speak. Names in a
certificate come from the authenticated caller, never from its CSR. Must not import xds server, snapshot or generate.
"""
