"""Config plans: applied in order, settled, refused where expected, put back in reverse."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meshtest.framework.context import TestContext
from meshtest.framework.errors import AuthorError, ConfigError, LaneError, NotRejected, NotSettled
from meshtest.framework.rejection import rejected

VS = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: %s}
spec: {hosts: [b], http: [{route: [{destination: {host: b, subset: %s}}]}]}
"""


def config_map(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


def test_nothing_happens_before_apply(fake_ctx: TestContext, world: Any) -> None:
    fake_ctx.config().yaml(VS % ("a", "v1"))
    assert world.kube.log == []


def test_applies_in_order_into_the_lane_and_settles_on_all(fake_ctx: TestContext, world: Any) -> None:
    plan = fake_ctx.config().yaml(VS % ("a", "v1")).objects(config_map("b")).apply()
    assert world.kube.log == ["apply w0-apps", "apply a", "apply b"]
    assert world.fake_mesh.asked == [["VirtualService w0-apps/a", "ConfigMap w0-apps/b"]]
    assert [each["metadata"]["namespace"] for each in plan.objects] == ["w0-apps", "w0-apps"]
    assert plan.settled is not None
    assert plan.settled.concerned == ("proxy-a",)


def test_closing_removes_in_reverse_and_waits_that_no_proxy_works_with_it(fake_ctx: TestContext, world: Any) -> None:
    fake_ctx.config().objects(config_map("a"), config_map("b")).apply(wait=False)
    fake_ctx.config().objects(config_map("c")).apply(wait=False)
    fake_ctx.close()
    assert world.kube.log[-3:] == ["delete c", "delete b", "delete a"]
    assert world.fake_mesh.asked == [
        ["ConfigMap w0-apps/c (deleted)"],
        ["ConfigMap w0-apps/b (deleted)", "ConfigMap w0-apps/a (deleted)"],
    ]


def test_deleting_early_is_not_repeated_at_the_end(fake_ctx: TestContext, world: Any) -> None:
    plan = fake_ctx.config().objects(config_map("a")).apply(wait=False)
    plan.delete()
    fake_ctx.close()
    assert world.kube.log.count("delete a") == 1


def test_a_child_that_updates_gives_the_parents_version_back(fake_ctx: TestContext, world: Any) -> None:
    fake_ctx.config().yaml(VS % ("a", "v1")).apply()
    child = fake_ctx.child("sub")
    child.config().yaml(VS % ("a", "v2")).apply()
    child.close()
    stored = world.kube.objects[("VirtualService", "w0-apps", "a")]
    assert stored["spec"]["http"][0]["route"][0]["destination"]["subset"] == "v1"
    assert "delete a" not in world.kube.log
    fake_ctx.close()
    assert ("VirtualService", "w0-apps", "a") not in world.kube.objects


def test_copies_do_not_share_what_is_added_later(fake_ctx: TestContext, world: Any) -> None:
    first = fake_ctx.config().objects(config_map("a"))
    second = first.copy().objects(config_map("b"))
    first.apply(wait=False)
    assert world.kube.log[-1] == "apply a"
    second.apply(wait=False)
    assert world.kube.log[-1] == "apply b"


def test_templates_from_files_beside_the_test(fake_ctx: TestContext, world: Any, tmp_path: Path) -> None:
    file = tmp_path / "template.yaml"
    file.write_text("\n" + VS % ("{{ name }}", "v1"), encoding="utf-8")
    plan = fake_ctx.config().eval_file(file, name="x").apply()
    assert plan.objects[0]["metadata"]["name"] == "x"
    world.kube.refuse["y"] = "spec.http[0].route: required"
    with pytest.raises(
        ConfigError, match=r"VirtualService w0-apps/y \(.*template\.yaml:3\) was refused: 422 Invalid: spec"
    ):
        fake_ctx.config().eval_file(file, name="y").apply()


@pytest.mark.parametrize(
    ("bad", "why"),
    [("{{ nothing }}", "'nothing' is undefined"), ("{% if %}", "Expected an expression")],
    ids=["undefined", "syntax"],
)
def test_an_error_in_a_template_names_the_authors_line_and_the_templates(
    fake_ctx: TestContext, tmp_path: Path, bad: str, why: str
) -> None:
    file = tmp_path / "template.yaml"
    file.write_text(f"\n\n{{# three #}}\na: {bad}\n", encoding="utf-8")
    line = r"test_config_plans\.py:\d+: "
    with pytest.raises(AuthorError, match=rf"{line}.*template\.yaml:4: {why}.*; variables given: given$"):
        fake_ctx.config().eval_file(file, given=1)
    with pytest.raises(AuthorError, match=rf"{line}template line 4: {why}"):
        fake_ctx.config().eval(file.read_text())


def test_an_unknown_kind_is_named_with_the_authors_line(fake_ctx: TestContext, world: Any) -> None:
    misspelt = VS.replace("VirtualService", "VirtualServicee") % ("a", "v1")
    with pytest.raises(
        ConfigError, match=r"^VirtualServicee a \(\S*plans\.py:\d+\): no kind VirtualServicee; hint: it has"
    ):
        fake_ctx.config().objects(config_map("fine")).yaml(misspelt).apply()
    assert "apply fine" not in world.kube.log


def test_an_empty_plan_is_the_authors_error(fake_ctx: TestContext) -> None:
    with pytest.raises(AuthorError, match=r"test_config_plans\.py:\d+: config\(\)\.apply\(\) without any object"):
        fake_ctx.config().apply()


def test_an_expected_rejection_passes_and_is_not_waited_for(fake_ctx: TestContext, world: Any) -> None:
    world.kube.refuse["a"] = "admission webhook denied: spec.http[0].route: expected a list"
    fake_ctx.config().yaml(VS % ("a", "v1")).apply(expect=rejected("spec.http[0].route"))
    assert world.fake_mesh.asked == []


def test_a_misspelt_field_is_refused_not_dropped(fake_ctx: TestContext) -> None:
    misspelt = VS.replace("http:", "htttp:") % ("a", "v1")
    with pytest.raises(ConfigError, match=r'a \(.*plans\.py:\d+\) was refused: 400 .*unknown field "spec\.htttp"'):
        fake_ctx.config().yaml(misspelt).apply()
    fake_ctx.config().yaml(misspelt).apply(expect=rejected("spec.htttp"))


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (None, r"expected to be refused for spec\.http\[0\], but it was taken"),
        ("spec.hosts: required", r"expected to be refused with field 'spec\.http\[0\]', got: spec\.hosts: required"),
    ],
)
def test_a_rejection_that_does_not_come_fails(
    fake_ctx: TestContext, world: Any, refusal: str | None, message: str
) -> None:
    if refusal:
        world.kube.refuse["a"] = refusal
    with pytest.raises(NotRejected, match=message):
        fake_ctx.config().yaml(VS % ("a", "v1")).apply(expect=rejected("spec.http[0]"))
    fake_ctx.close()
    assert ("VirtualService", "w0-apps", "a") not in world.kube.objects


def test_what_does_not_settle_names_the_authors_line_and_is_still_removed(fake_ctx: TestContext, world: Any) -> None:
    world.fake_mesh.fail = NotSettled("VirtualService w0-apps/a: proxies refused the config:\n  b-v1 refused RDS: bad")
    with pytest.raises(NotSettled, match=r"refused RDS: bad\napplied:\n  VirtualService w0-apps/a \(.*plans\.py:\d+\)"):
        fake_ctx.config().yaml(VS % ("a", "v1")).apply()
    world.fake_mesh.fail = None
    fake_ctx.close()
    assert world.kube.log[-1] == "delete a"


def test_reaching_out_of_the_lane_is_refused_before_anything_is_applied(fake_ctx: TestContext, world: Any) -> None:
    outside = {**config_map("x"), "metadata": {"name": "x", "namespace": "istio-system"}}
    with pytest.raises(
        LaneError, match=r"test_config_plans\.py:\d+: ConfigMap x: lies in the root namespace.*mesh_wide"
    ):
        fake_ctx.config().objects(config_map("fine"), outside).apply()
    assert "apply fine" not in world.kube.log


def test_mesh_wide_tests_may_reach_out(make_context: Callable[..., TestContext], world: Any) -> None:
    outside = {**config_map("x"), "metadata": {"name": "x", "namespace": "istio-system"}}
    make_context(mesh_wide=True).config().objects(outside).apply()
    assert world.kube.log[-1] == "apply x"
