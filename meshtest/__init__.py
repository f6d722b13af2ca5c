"""meshtest: integration tests and conformance suites for service meshes.

The names below are what test authors import. They load on first use, so that collecting tests stays quick.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshtest.framework.config import Config, Plan
    from meshtest.framework.context import TestContext
    from meshtest.framework.errors import AuthorError, ConfigError, LaneError, MeshtestError, NotRejected, NotSettled
    from meshtest.framework.labels import feature
    from meshtest.framework.rejection import rejected
    from meshtest.framework.subtests import new_test
    from meshtest.framework.suite import Suite

_WHERE = {
    "AuthorError": "meshtest.framework.errors",
    "Config": "meshtest.framework.config",
    "ConfigError": "meshtest.framework.errors",
    "LaneError": "meshtest.framework.errors",
    "MeshtestError": "meshtest.framework.errors",
    "NotRejected": "meshtest.framework.errors",
    "NotSettled": "meshtest.framework.errors",
    "Plan": "meshtest.framework.config",
    "Suite": "meshtest.framework.suite",
    "TestContext": "meshtest.framework.context",
    "feature": "meshtest.framework.labels",
    "new_test": "meshtest.framework.subtests",
    "rejected": "meshtest.framework.rejection",
}

__all__ = [
    "AuthorError",
    "Config",
    "ConfigError",
    "LaneError",
    "MeshtestError",
    "NotRejected",
    "NotSettled",
    "Plan",
    "Suite",
    "TestContext",
    "feature",
    "new_test",
    "rejected",
]


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module 'meshtest' has no name {name!r}; it has {', '.join(__all__)}")
    value: object = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value
