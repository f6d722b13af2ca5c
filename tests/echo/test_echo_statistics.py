"""The statistics behind checks, against brute force."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshtest.echo import statistics as stats


def brute_at_least(k: int, n: int, p: float) -> float:
    return math.fsum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(max(k, 0), n + 1))


@given(n=st.integers(1, 60), k=st.integers(-1, 61), p=st.floats(0.01, 0.99))
@settings(max_examples=200, deadline=None)
def test_tails_are_exact(n: int, k: int, p: float) -> None:
    assert stats.at_least(k, n, p) == pytest.approx(brute_at_least(k, n, p), rel=1e-9, abs=1e-13)
    assert stats.below(k, n, p) == pytest.approx(1 - brute_at_least(k, n, p), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_certain_and_impossible_shares(p: float) -> None:
    assert stats.acceptance(50, p) == ((0, 0) if p == 0 else (50, 50))


@pytest.mark.parametrize("p", [0.5, 0.2, 0.01, 1 / 3])
@pytest.mark.parametrize("n", [100, 2000])
def test_the_interval_is_left_with_a_chance_of_at_most_alpha_and_is_the_narrowest_such(p: float, n: int) -> None:
    lowest, highest = stats.acceptance(n, p, 1e-9)
    assert stats.below(lowest, n, p) + stats.at_least(highest + 1, n, p) <= 1e-9
    assert lowest == math.floor(n * p) or stats.below(lowest + 1, n, p) > 5e-10
    assert highest == n or stats.at_least(highest, n, p) > 5e-10


@pytest.mark.parametrize("p", [0.0, 0.05, 0.2, 0.5, 0.9, 1.0])
def test_the_count_notices_the_deviation_with_the_promised_power(p: float) -> None:
    n = stats.needed(p, 0.1)
    for actual in (p - 0.1, p + 0.1):
        if 0 <= actual <= 1:
            assert stats.escapes(n, p, actual) <= 0.001


def test_the_designs_example_a_share_of_a_fifth_needs_about_2000_requests_to_notice_29_percent() -> None:
    assert 1700 <= stats.needed(0.2, 0.09) <= 2100


def test_a_split_in_two_is_one_statement_and_in_three_are_three() -> None:
    assert stats.plan_split({"v1": 80, "v2": 20}).alpha == 1e-9
    assert stats.plan_split({"v1": 1, "v2": 1, "v3": 1}).alpha == pytest.approx(1e-9 / 3)


def test_a_plan_finds_the_share_that_is_off() -> None:
    plan = stats.plan_split({"v1": 80, "v2": 20})
    right = round(plan.count * 0.8)
    assert plan.outside({"v1": right, "v2": plan.count - right}) == []
    half = plan.count // 2
    assert [name for name, *_ in plan.outside({"v1": half, "v2": plan.count - half})] == ["v1", "v2"]


@pytest.mark.parametrize("weights", [{}, {"v1": 0}, {"v1": -1, "v2": 2}])
def test_weights_that_are_no_shares_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        stats.plan_split(weights)


def test_too_fine_a_deviation_is_refused_rather_than_sent() -> None:
    with pytest.raises(ValueError, match="larger deviation"):
        stats.needed(0.5, 0.001)


def test_counts_for_meeting_and_noticing() -> None:
    assert stats.needed_to_meet(2) == 31
    assert 2 * 0.5**31 <= 1e-9
    assert stats.needed_to_notice(0.5) == 10
