"""Percentiles and clocks for the benchmarks."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class Clock:
    """Seconds that the body of `timed()` took; 0 until it has ended."""

    seconds: float = 0.0


@contextmanager
def timed() -> Iterator[Clock]:
    """Measure the body by the monotonic clock."""
    clock, began = Clock(), time.perf_counter()
    try:
        yield clock
    finally:
        clock.seconds = time.perf_counter() - began


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0…1) of all do not exceed (nearest rank). Errors: ValueError on no values."""
    if not values:
        raise ValueError("no values to take a percentile of")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(round(len(ordered) * share, 6)) - 1)]
