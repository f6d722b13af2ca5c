"""Environments by the name that --env gives."""

import importlib

from meshtest.environment.errors import UsageError
from meshtest.environment.protocol import EnvironmentFactory

_FACTORIES = {"embedded": "meshtest.environment.embedded:EmbeddedFactory"}
_LATER = ("kind", "existing")


def check_name(name: str) -> None:
    """Errors: UsageError, which says what there is. Imports nothing, so it can run before anything is needed."""
    if name in _LATER:
        raise UsageError(f"--env {name}: not yet in this release; available: {', '.join(sorted(_FACTORIES))}")
    if name not in _FACTORIES:
        raise UsageError(f"--env {name}: no such environment; available: {', '.join(sorted(_FACTORIES))}")


def factory(name: str) -> EnvironmentFactory:
    """The factory of that name. Errors: UsageError."""
    check_name(name)
    module, _, attribute = _FACTORIES[name].partition(":")
    made: EnvironmentFactory = getattr(importlib.import_module(module), attribute)()
    return made
