"""Echo workloads: deploy them, have them call each other, check every single response.

`EchoBuilder` deploys, an `Echo` calls, a `Call` is sent when it is checked, and a failed check shows what was expected,
what came, and the way of one offending request through the proxies.
Must not import meshtest.plugin, meshtest.mesh, meshtest.report or meshtest.cli. `meshtest.echo.server` is the
workload's program, which imports nothing of the test's side.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshtest.echo.builder import EchoBuilder
    from meshtest.echo.call import Call
    from meshtest.echo.checks import Check
    from meshtest.echo.config import EchoConfig, Port, Subset
    from meshtest.echo.instance import Apps, Echo
    from meshtest.echo.responses import Response, Responses
    from meshtest.echo.standard import standard_apps

_WHERE = {
    "Apps": "instance",
    "Call": "call",
    "Check": "checks",
    "Echo": "instance",
    "EchoBuilder": "builder",
    "EchoConfig": "config",
    "Port": "config",
    "Response": "responses",
    "Responses": "responses",
    "Subset": "config",
    "standard_apps": "standard",
}

__all__ = [
    "Apps",
    "Call",
    "Check",
    "Echo",
    "EchoBuilder",
    "EchoConfig",
    "Port",
    "Response",
    "Responses",
    "Subset",
    "standard_apps",
]


def __getattr__(name: str) -> object:
    # The workload's program lives below this package and must start without loading the test's side.
    if name not in _WHERE:
        raise AttributeError(f"module 'meshtest.echo' has no name {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"meshtest.echo.{_WHERE[name]}"), name)
