"""Admission: pods get their sidecar, configuration that cannot work is refused.

`policy` decides whether to inject, `sidecar` is what is injected, `inject` puts it into a pod, `validate` judges
configuration; all four are pure. `server` is the HTTPS face on 15017, `trust` writes the CA bundle into the webhook
configurations. Must not import xds, push or generate.
"""
