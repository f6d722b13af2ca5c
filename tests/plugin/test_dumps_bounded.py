"""Dumps of failed tests: for whom, how big, and how long they are kept."""

import os
from pathlib import Path
from typing import Any

import pytest

from meshtest.plugin.dumps import KEPT_RUNS, bound, files_in, prune


def test_the_biggest_files_of_a_dump_are_cut(tmp_path: Path) -> None:
    for name, size in (("small", 100), ("big", 5000), ("bigger", 9000)):
        (tmp_path / name).write_bytes(b"x" * size)
    bound(files_in(tmp_path), 2100)
    assert (tmp_path / "small").read_bytes() == b"x" * 100
    assert (tmp_path / "big").read_bytes() == b"x" * 1000 + b"\n... cut, 4000 bytes more\n"
    assert (tmp_path / "bigger").read_bytes() == b"x" * 1000 + b"\n... cut, 8000 bytes more\n"


def test_a_dump_within_its_bound_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 1000)
    bound(files_in(tmp_path), 1000)
    assert (tmp_path / "one").read_bytes() == b"x" * 1000


def test_only_the_newest_runs_are_kept_and_nothing_else_is_touched(tmp_path: Path) -> None:
    for n in range(KEPT_RUNS + 3):
        directory = tmp_path / f"run-1200{n:02}-7"
        (directory / "test").mkdir(parents=True)
        os.utime(directory, (n, n))
    (tmp_path / "mine").mkdir()
    prune(tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["mine", *(f"run-1200{n:02}-7" for n in range(3, KEPT_RUNS + 3))]
    prune(tmp_path / "not-there")


@pytest.mark.parametrize(
    ("test", "dumped"),
    [
        ("def test_one(ctx): assert False", True),
        ("def test_one(ctx): nosuch", False),
        ("def test_one(ctx, nosuch): pass", False),
    ],
)
def test_an_authors_mistake_leaves_no_dump(runs: Any, test: str, dumped: bool) -> None:
    runs.tests(test_it=test)
    runs.run()
    files = list((runs.path / "work").rglob("test_it*"))
    assert bool(files) == dumped
