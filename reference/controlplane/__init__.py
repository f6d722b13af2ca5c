"""The control plane: watch -> config and registry -> immutable snapshot -> generate -> xDS.

`config`, `registry`, `snapshot` and `generate` decide and do no I/O; `xds`, `ca`, `webhooks`, `debug` and the
application around them act.
"""
