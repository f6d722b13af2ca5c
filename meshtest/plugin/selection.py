"""-m: a label that does not exist is refused before anything starts; one that no test has is explained."""

from __future__ import annotations

import difflib
import re
from collections.abc import Generator, Iterable
from typing import Any

import pytest

from meshtest.framework import labels

_WORDS = frozenset({"and", "or", "not", "True", "False", "None"})
_ARGUMENTS = re.compile(r"\(\s*\w+\s*=[^()]*\)")  # feature(level='core')
_OUTPUT = "meshtest_hints"


class Selection:
    """Looks at -m alone. Workers hand what they found to the controller, which says it once."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._asked = names_in(str(config.getoption("markexpr", "") or ""))
        self._hints: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """By now every conftest has registered its markers. Errors: pytest.UsageError.

        Without strict markers pytest takes any name for a label, and so do we.
        """
        registered = {re.split(r"[(:]", line)[0].strip() for line in self._config.getini("markers")}
        unknown = sorted(self._asked - registered)
        if unknown and not hasattr(self._config, "workerinput") and self._is_strict():
            raise pytest.UsageError(f"-m: no label is named {', '.join(unknown)}{_meant(unknown[0])}; {_existing()}")

    @pytest.hookimpl(tryfirst=True, wrapper=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, object, object]:
        """Before -m has deselected: the items. After: what they had, if none is left."""
        collected = list(items)
        result = yield
        if collected and not items and self._asked:
            had = {marker.name for item in collected for marker in item.iter_markers()}
            if missing := sorted(self._asked - had):
                self._hints.append(
                    f"-m: no test here has the label {', '.join(missing)}; labels that tests here have: {_listed(had)}"
                )
        return result

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """A worker's hints go to the controller."""
        output: dict[str, Any] | None = getattr(self._config, "workeroutput", None)
        if output is not None:
            output[_OUTPUT] = self._hints

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """All workers collect the same."""
        self._hints = getattr(node, "workeroutput", {}).get(_OUTPUT) or self._hints

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say it."""
        for hint in self._hints:
            terminalreporter.write_line(f"meshtest: {hint}")

    def _is_strict(self) -> bool:
        strict = self._config.getini("strict_markers")
        return bool(self._config.getini("strict") if strict is None else strict)


def names_in(expression: str) -> frozenset[str]:
    """The labels that a -m expression names: `a and not b(level="core")` names a and b."""
    return frozenset(re.findall(r"[^\s()]+", _ARGUMENTS.sub(" ", expression))) - _WORDS


def _meant(name: str) -> str:
    close = difflib.get_close_matches(name, [*labels.SUITES, *labels.KINDS], 1)
    return f" (did you mean {close[0]}?)" if close else ""


def _existing() -> str:
    return f"labels: {', '.join([*labels.SUITES, *labels.KINDS])}; `pytest --markers` explains them"


def _listed(had: Iterable[str]) -> str:
    return ", ".join(name for name in [*labels.SUITES, *labels.KINDS] if name in set(had)) or "none"
