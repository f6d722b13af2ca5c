"""Routing: requests get where VirtualServices and DestinationRules send them.

Apps: a and c have one version, b has v1, v2 and v3, naked has no sidecar. Each test runs over the ports that its
behaviour concerns: `port` is HTTP/1.1, HTTP/2 and gRPC, `http_port` the first two.
"""

from pathlib import Path

from meshtest import Suite, TestContext


def versions_of_b(ctx: TestContext) -> None:
    """A subset for each version of b, and one, `none`, that has no pod."""
    ctx.config().file(Path(__file__).parent / "subsets.yaml").apply()


suite = Suite("routing").label("routing").setup(versions_of_b)
