"""What runs beside each Envoy, in the pod: the program of the image `meshtest/proxy`.

`istio-init` writes the packet rules of the pod's namespace and ends. `proxy` gets a certificate, serves it to Envoy
over SDS on a Unix socket, writes Envoy's bootstrap, runs Envoy and answers for its health. Envoy speaks xDS with the
control plane itself, with the certificate as credential, so the agent is in nobody's way.

`settings`, `rules`, `bootstrap`, `readiness` and `probes` decide and are pure; `certificates`, `sds`, `envoy`, `http`
and `main` act. Of the control plane only the protocol machines (`xds.sotw`, `xds.encode`) and the CA's messages may be
imported, never meshtest.
"""
