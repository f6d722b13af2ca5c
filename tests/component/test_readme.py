"""The README's example is a suite that passes, as it stands there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and mounts")
ROOT = Path(__file__).parents[2]
FILE = re.compile(r"```python\n# (suites/mine/\S+)\n(.*?)```", re.DOTALL)


def test_the_example_passes(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "suites", tmp_path / "suites", ignore=shutil.ignore_patterns("routing", "__pycache__"))
    files = FILE.findall((ROOT / "README.md").read_text())
    assert [name for name, _ in files] == ["suites/mine/__init__.py", "suites/mine/test_weights.py"]
    for name, text in files:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "mine", "-q"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
