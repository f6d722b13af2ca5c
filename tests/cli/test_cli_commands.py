"""The command's faces, without starting anything."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from meshtest.cli import main
from meshtest.cli.doctor import Machine, judge

FINE = Machine("Linux", (3, 11), True, frozenset({"nft", "ip", "kubectl"}), True, True)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty state root."""
    monkeypatch.setenv("MESHTEST_STATE_DIR", str(tmp_path))
    return tmp_path


def test_a_fine_machine_lacks_nothing() -> None:
    assert all(finding.ok for finding in judge(FINE))


def test_each_lack_has_a_hint() -> None:
    poor = Machine("Darwin", (3, 9), False, frozenset(), False, False)
    missing = [finding for finding in judge(poor) if not finding.ok]
    assert len(missing) == len(judge(poor))
    assert all(finding.hint for finding in missing)
    assert [finding.what for finding in missing if finding.optional] == ["program kubectl"]


def test_nothing_to_see_and_nothing_to_remove(state: Path) -> None:
    del state
    assert "no clusters of ours" in CliRunner().invoke(main, ["status"]).output
    assert "nothing to remove" in CliRunner().invoke(main, ["cleanup"]).output


def test_commands_without_a_cluster_say_how_to_get_one(state: Path) -> None:
    del state
    result = CliRunner().invoke(main, ["down"])
    assert result.exit_code == 1
    assert "no cluster runs; hint: meshtest up" in result.output
    assert "nothing is left of 'x'" in CliRunner().invoke(main, ["cleanup", "x"]).output


def test_a_dead_run_is_shown_and_removed(state: Path) -> None:
    (state / "old").mkdir()
    (state / "old" / "spec.json").write_text('{"clusters": [{"name": "cluster-0"}]}')
    assert "old: dead, left" in CliRunner().invoke(main, ["status"]).output
    assert "removed old" in CliRunner().invoke(main, ["cleanup"]).output
    assert not (state / "old").exists()


def test_networks_must_match_clusters(state: Path) -> None:
    del state
    result = CliRunner().invoke(main, ["up", "--clusters", "2", "--network", "n1"])
    assert result.exit_code == 2
    assert "expected 2, one for each cluster, got 1" in result.output


@pytest.mark.parametrize("family", ["ipv6", "dual"])
def test_families_that_are_not_there_are_refused(state: Path, family: str) -> None:
    result = CliRunner().invoke(main, ["up", "--name", "p3", "--ip-family", family])
    assert result.exit_code == 2
    assert f"--ip-family {family} is not there yet: only ipv4 works today" in result.output
    assert not list(state.iterdir())


def test_down_takes_a_name_or_all(state: Path) -> None:
    del state
    assert "not both" in CliRunner().invoke(main, ["down", "x", "--all"]).output
    assert "no running cluster set 'x'" in CliRunner().invoke(main, ["down", "x"]).output
    result = CliRunner().invoke(main, ["down", "--all"])
    assert (result.exit_code, result.output) == (0, "no cluster runs\n")
