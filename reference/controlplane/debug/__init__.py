"""What an operator and the settled barrier ask on 15014: debug pages as JSON, and metrics.

`access` tells loopback callers from others, whom `authorization` judges by asking the API server; `pages` turns state
into JSON, purely; `server` is the aiohttp face, `metrics` the Prometheus registry. Must not change anything it shows.
"""
