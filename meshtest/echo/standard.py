"""The apps that most tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshtest.echo.builder import EchoBuilder
from meshtest.echo.instance import Apps

if TYPE_CHECKING:
    from meshtest.framework.context import TestContext


def standard_apps(ctx: TestContext) -> Apps:
    """a and c: one version; b: v1, v2 and v3; naked: without a sidecar. All in the lane's namespace."""
    return (
        EchoBuilder(ctx)
        .with_(name="a")
        .with_(name="b", subsets=["v1", "v2", "v3"])
        .with_(name="c")
        .with_(name="naked", proxy=False)
        .build()
    )
