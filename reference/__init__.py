"""The reference mesh: a control plane in Python, a data plane of stock Envoy and Python agents.

It meets everything else at the Kubernetes API and never imports `meshtest` or `suites`.
"""
