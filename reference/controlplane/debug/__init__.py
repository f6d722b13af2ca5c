"""What an operator and the settled barrier ask on 15014: debug pages as JSON, and metrics.

`access` decides who may look, `pages` turns state into JSON, both pure; `server` is the aiohttp face, `metrics` the
Prometheus registry. Must not change anything it shows.
"""
