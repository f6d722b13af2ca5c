"""CEL: expressions of webhooks and CRDs. The one module that imports the CEL library."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from . import celcost, celfunctions

Variables = Callable[[], dict[str, Any]]


class ConditionError(Exception):
    """A condition does not compile, or fails."""


class Conditions:
    """Evaluates the matchConditions of webhooks."""

    def hold(self, conditions: tuple[tuple[str, str], ...], variables: Variables) -> bool:
        """Whether all are true; false wins over an error, as in Kubernetes."""
        values = variables()
        failure = ""
        for name, expression in conditions:
            try:
                if evaluate(expression, values) is not True:
                    return False
            except Exception as error:  # the library's own errors have no common base
                failure = failure or f"matchCondition {name}: {error}"
        if failure:
            raise ConditionError(failure)
        return True


@functools.lru_cache(maxsize=2048)
def _program(expression: str) -> Any:
    from cel import cel

    return cel.compile(expression)


def evaluate(expression: str, variables: dict[str, Any]) -> Any:
    """The value of an expression. Raises what the library raises: it does not compile, a key is missing, ...;
    or `celcost.TooDear`.
    """
    from cel import cel

    celcost.steps(expression, variables)
    context = cel.Context(variables=variables)
    celfunctions.add(context)
    return _program(expression).execute(context)
