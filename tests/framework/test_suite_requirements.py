"""Suites, requirements, labels and timings."""

# ruff: noqa: ARG001, ARG005  (steps take a context whether they use it or not)

from pathlib import Path
from typing import Any

import pytest

from meshtest.framework.context import TestContext
from meshtest.framework.errors import AuthorError
from meshtest.framework.labels import feature, markers
from meshtest.framework.requirements import Offer, Requirements
from meshtest.framework.suite import Suite
from meshtest.framework.timing import Timings

OFFER = Offer(clusters=1, networks=1, capabilities=frozenset({"exec", "mtls"}), dialects=frozenset({"istio"}))


def test_met_requirements_have_no_reasons() -> None:
    wanted = Requirements(min_clusters=1, max_clusters=1, capabilities=frozenset({"mtls"}), dialect="istio")
    assert wanted.unmet(OFFER) == []


def test_each_unmet_requirement_has_its_reason() -> None:
    wanted = Requirements(min_clusters=2, min_networks=2, capabilities=frozenset({"vm"}), dialect="gateway-api")
    assert wanted.unmet(OFFER) == [
        "needs 2 clusters, there are 1",
        "needs 2 networks, there are 1",
        "needs vm; there is exec, mtls",
        "speaks gateway-api, the mesh takes istio",
    ]
    assert Requirements(max_clusters=1).unmet(Offer(clusters=2)) == ["takes at most 1 clusters, there are 2"]


def test_requirements_add_up() -> None:
    both = Requirements(min_clusters=2, max_clusters=5).both(Requirements(min_clusters=1, max_clusters=3))
    assert (both.min_clusters, both.max_clusters) == (2, 3)


def test_the_fluent_form_collects() -> None:
    suite = Suite("ambient").label("ambient", "slow").require_clusters(min=2).require_capabilities("faults")
    assert suite.labels == ("ambient", "slow")
    assert suite.requirements == Requirements(min_clusters=2, capabilities=frozenset({"faults"}))
    assert suite.skip_if("too old", False).skip_reason is None
    assert suite.skip_if("too old", True).skip_reason == "too old"


def test_set_up_runs_in_order_and_tear_down_in_reverse(fake_ctx: TestContext) -> None:
    log: list[str] = []
    suite = (
        Suite("s")
        .setup(lambda ctx: ctx.track(lambda: log.append("close first")))
        .setup_parallel(lambda ctx: log.append("side"), lambda ctx: log.append("side"))
        .setup(lambda ctx: log.append("last"))
        .teardown(lambda ctx: log.append("down 1"))
        .teardown(lambda ctx: log.append("down 2"))
    )
    suite.run_setup(fake_ctx)
    assert log == ["side", "side", "last"]
    fake_ctx.close()
    assert log[3:] == ["down 2", "down 1", "close first"]


def test_a_failing_parallel_step_fails_set_up(fake_ctx: TestContext) -> None:
    def fails(ctx: TestContext) -> None:
        raise OSError("no mesh")

    with pytest.raises(OSError, match="no mesh"):
        Suite("s").setup_parallel(fails, lambda ctx: None).run_setup(fake_ctx)


def test_features_have_stable_names_and_two_levels() -> None:
    @feature("traffic.split.weighted", level="extended")
    def function() -> None: ...

    marked: Any = function
    assert marked.pytestmark[0].kwargs == {"name": "traffic.split.weighted", "level": "extended", "dialect": "istio"}
    with pytest.raises(AuthorError, match=r"^\S*requirements\.py:\d+: .*expected 'core' or 'extended'"):
        feature("a.b", level="must")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "a..b", "split", "Traffic.Split", "traffic split.a", "traffic.-split", "a.b\n"])
def test_a_feature_name_that_is_not_lower_case_dotted_words_is_refused(name: str) -> None:
    with pytest.raises(AuthorError, match=r"^\S*requirements\.py:\d+: feature name .*expected lower-case dotted words"):
        feature(name)


def test_every_suite_is_a_registered_marker(tmp_path: Path) -> None:
    (tmp_path / "suites" / "mine").mkdir(parents=True)
    (tmp_path / "suites" / "mine" / "__init__.py").touch()
    (tmp_path / "suites" / "data").mkdir()
    names = {line.partition(":")[0].partition("(")[0] for line in markers(tmp_path)}
    assert {"mine", "routing", "mesh_wide", "slow", "feature", "requires"} <= names
    assert "data" not in names


def test_nested_phases_count_each_moment_once() -> None:
    timings = Timings()
    with timings.phase("apps"), timings.phase("wait"):
        pass
    timings.add("apply", 2.0)
    timings.merge({"apply": 1.0, "calls": 4.0})
    seconds = timings.seconds()
    assert list(seconds) == ["apps", "apply", "wait", "calls"]
    assert seconds["apply"] == 3.0
    assert seconds["apps"] + seconds["wait"] < 1.0
