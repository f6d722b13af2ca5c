"""A container's root reaches what it needs wherever that lies, and nothing private beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts")

# Runs in a mount namespace of its own: a home of mode 0700 on a mount of its own, with sources, a link and a secret.
SCRIPT = """
import os, sys
from pathlib import Path
from meshtest.embedded import linux
from meshtest.embedded.images import rootfs
base, stage = Path(sys.argv[1]), Path(sys.argv[2])
linux.unshare(linux.CLONE_NEWNS)
linux.mount("", "/", None, linux.MS_REC | linux.MS_PRIVATE)
linux.mount("tmpfs", str(base), "tmpfs", 0, "mode=755")
home = base / "home"
for directory in (home / "src" / "pkg", home / "closed", home / "secret"):
    directory.mkdir(parents=True)
    (directory / "file").write_text("readable")
(home / "link").symlink_to("src")
for directory in (home, home / "secret", home / "closed"):
    directory.chmod(0o700)
plan = rootfs.survey([str(home / "link" / "pkg"), str(home / "closed")], cover=[])
root = rootfs.build(str(stage), plan)
linux.pivot_root(root)
os.setgroups([]); os.setgid(1337); os.setuid(1337)
print((home / "link" / "pkg" / "file").read_text(), (home / "closed" / "file").read_text())
print(sorted(os.listdir(home)))
try:
    (home / "src" / "pkg" / "new").write_text("x")
except OSError as error:
    print(error.strerror)
"""


def test_needed_paths_under_a_private_home_on_another_mount(tmp_path: Path) -> None:
    base, stage = tmp_path / "base", tmp_path / "stage"
    base.mkdir()
    stage.mkdir()
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(base), str(stage)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "readable readable"
    assert lines[1] == "['closed', 'link', 'src']", "the secret beside them is not even there"
    assert lines[2] in ("Read-only file system", "Permission denied")
    assert list(base.iterdir()) == [], "nothing was written outside"
