"""How many requests a statement about shares needs, and which counts a correct mesh may show. Pure.

A statement is: of n independent requests a share p goes one way. It is tested by an interval of counts that a correct
mesh leaves with a chance of at most `alpha`, and n is chosen so that a mesh whose share is off by `deviation` falls
into that interval with a chance of at most 1 - `power`. Both chances are exact binomial tails. Several shares at once
split alpha between them (Bonferroni), which holds for the dependent counts of a multinomial.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

ALPHA = 1e-9
"""The chance that a check fails a correct mesh."""
POWER = 0.999
"""The chance that a check notices the smallest deviation that it promises to notice."""
DEVIATION = 0.1
MOST = 200_000
"""More requests than any test should send."""


def log_pmf(k: int, n: int, p: float) -> float:
    """The logarithm of P(X = k) for X ~ Binomial(n, p); -inf for what cannot be."""
    if not 0 <= k <= n or (p == 0 and k) or (p == 1 and k != n):
        return -math.inf
    if p in (0, 1):
        return 0.0
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return ways + k * math.log(p) + (n - k) * math.log1p(-p)


def below(k: int, n: int, p: float) -> float:
    """P(X < k)."""
    return at_least(n - k + 1, n, 1 - p)


def at_least(k: int, n: int, p: float) -> float:
    """P(X >= k). Terms are summed from k upwards until they no longer count."""
    if k <= 0:
        return 1.0
    if k <= n * p:  # the longer side: take the other one from 1
        return max(0.0, 1.0 - at_least(n - k + 1, n, 1 - p))
    term = math.exp(log_pmf(k, n, p)) if p > 0 else 0.0
    total, odds = 0.0, p / (1 - p) if p < 1 else math.inf
    while k <= n and term > total * 1e-17:
        total += term
        if k < n:
            term *= (n - k) / (k + 1) * odds
        k += 1
    if p == 1:
        return 1.0 if n >= 1 else 0.0
    return min(1.0, total)


def acceptance(n: int, p: float, alpha: float = ALPHA) -> tuple[int, int]:
    """The counts (lowest, highest) that a mesh with share p leaves with a chance of at most alpha."""
    # The largest k with P(X < k) <= alpha/2; the tail grows with k.
    low, high = 0, math.floor(n * p)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if below(middle, n, p) <= alpha / 2 else (low, middle - 1)
    lowest = low
    low, high = math.ceil(n * p), n
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if at_least(middle + 1, n, p) <= alpha / 2 else (middle + 1, high)
    return lowest, low


def escapes(n: int, p: float, actual: float, alpha: float = ALPHA) -> float:
    """The chance that a mesh with the share `actual` is taken for one with the share p."""
    lowest, highest = acceptance(n, p, alpha)
    return max(0.0, at_least(lowest, n, actual) - at_least(highest + 1, n, actual))


@lru_cache(maxsize=1024)
def needed(p: float, deviation: float = DEVIATION, alpha: float = ALPHA, power: float = POWER) -> int:
    """The number of requests that notices p ± deviation. Errors: ValueError if no sensible number does."""
    if not 0 <= p <= 1 or not 0 < deviation <= 1:
        raise ValueError(f"share {p} with deviation {deviation}: expected 0 ≤ share ≤ 1 and 0 < deviation ≤ 1")
    others = [actual for actual in (p - deviation, p + deviation) if -1e-12 <= actual <= 1 + 1e-12]
    others = [min(1.0, max(0.0, actual)) for actual in others] or [0.0 if p > 0.5 else 1.0]

    def enough(n: int) -> bool:
        return all(escapes(n, p, actual, alpha) <= 1 - power for actual in others)

    high = 1
    while not enough(high):
        high *= 2
        if high > MOST:
            raise ValueError(f"share {p} ± {deviation} needs more than {MOST} requests; allow a larger deviation")
    low = high // 2
    while high - low > max(1, low // 200):  # within half a percent of the smallest, always enough
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """How a split is tested: `count` requests; `alpha` for each of the shares, which sum up to 1."""

    shares: tuple[tuple[str, float], ...]
    count: int
    alpha: float

    def outside(self, counts: Mapping[str, int]) -> list[tuple[str, int, int, int]]:
        """(name, count, lowest, highest) of shares whose count a correct mesh would not show."""
        total = sum(counts.values())
        bounds = [(name, counts.get(name, 0), *acceptance(total, share, self.alpha)) for name, share in self.shares]
        return [each for each in bounds if not each[2] <= each[1] <= each[3]]


def plan_split(
    weights: Mapping[str, float], deviation: float = DEVIATION, alpha: float = ALPHA, power: float = POWER
) -> SplitPlan:
    """The plan for shares in proportion to `weights`. Errors: ValueError for weights that are no shares."""
    total = sum(weights.values())
    if total <= 0 or min(weights.values()) < 0:
        raise ValueError(f"weights {dict(weights)}: expected none below 0 and a sum above 0")
    shares = tuple((name, weight / total) for name, weight in weights.items())
    # Of two shares one follows from the other, so that there is one statement and not two.
    each = alpha / max(1, len(shares) - 1 if len(shares) == 2 else len(shares))
    count = max(needed(round(share, 12), deviation, each, power) for _, share in shares)
    return SplitPlan(shares, count, each)


def needed_to_meet(kinds: int, share: float | None = None, alpha: float = ALPHA) -> int:
    """Requests after which each of `kinds` ways, each taken with at least `share` (default: evenly), has been seen."""
    share = 1 / kinds if share is None else share
    if share >= 1:
        return 1
    return math.ceil(math.log(alpha / kinds) / math.log1p(-share))


def needed_to_notice(share: float, power: float = POWER) -> int:
    """Requests among which one is seen, with the chance `power`, that happens with `share` and never should."""
    return 1 if share >= 1 else math.ceil(math.log(1 - power) / math.log1p(-share))
