"""Where a run's time goes: seconds by phase, each moment counted once even where phases nest."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

PHASES = ("provision", "install", "apps", "apply", "wait", "calls", "cleanup", "teardown")


class Timings:
    """Seconds by phase. Thread-safe; a phase inside another takes its time out of the outer one."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()
        self._local = threading.local()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the body's time under `name`."""
        stack: list[float] = self._local.__dict__.setdefault("inner", [])
        stack.append(0.0)
        began = time.perf_counter()
        try:
            yield
        finally:
            total = time.perf_counter() - began
            inner = stack.pop()
            if stack:
                stack[-1] += total
            self.add(name, total - inner)

    def add(self, name: str, seconds: float, count: int = 1) -> None:
        """Count `seconds` under `name`."""
        with self._lock:
            self._seconds[name] = self._seconds.get(name, 0.0) + seconds
            self._counts[name] = self._counts.get(name, 0) + count

    def merge(self, other: Mapping[str, float]) -> None:
        """Add another worker's seconds."""
        for name, seconds in other.items():
            self.add(name, seconds)

    def seconds(self) -> dict[str, float]:
        """Seconds by phase, known phases first."""
        with self._lock:
            known = [name for name in PHASES if name in self._seconds]
            return {name: self._seconds[name] for name in [*known, *sorted(set(self._seconds) - set(known))]}
