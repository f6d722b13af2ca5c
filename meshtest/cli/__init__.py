"""The `meshtest` command: clusters without a test run, and what is left of runs that broke.

Reads and acts through meshtest.embedded and meshtest.kube. Must not import meshtest.plugin.
"""

from meshtest.cli.main import main

__all__ = ["main"]
