"""The root of a container: decide what it is made of, then build it.

It is an overlay: below the machine's own root, above a tmpfs, so every program of the machine is there and nothing is
ever written to it. What a container must not see (other people's home directories, the machine's password hashes and
host keys, /tmp, /run with the cluster's keys) is covered by an empty directory or taken out. What it must reach
although it lies under such a directory or on a mount of its own (interpreter, virtual environment, Envoy, editable
sources) is bound back in, read-only, along a path that uid 1337 can walk. The host's permissions are never touched.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from meshtest.embedded import linux

COVERED = ("/tmp", "/run", "/var/tmp", "/etc/ssh", "/etc/ssl/private")
SHARED = ("/tmp", "/var/tmp")
REMOVED = ("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-")
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt", "/nix", "/etc", "/var/lib")


@dataclass(frozen=True, slots=True)
class RootPlan:
    """covers: directories replaced by empty ones; binds: read-only; links: (path, target) symbolic links to make again;
    opened: directories bound in whose own mode lets no other user in, made traversable on top of the host's."""

    covers: tuple[str, ...]
    binds: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    opened: tuple[str, ...]


def _inside(path: str, directories: Iterable[str]) -> str | None:
    for directory in directories:
        if path == directory or path.startswith(directory.rstrip("/") + "/"):
            return directory
    return None


def _outermost(paths: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for path in sorted(set(paths)):
        if not _inside(path, kept):
            kept.append(path)
    return kept


def follow(path: str, readlink: Callable[[str], str | None]) -> tuple[str, list[tuple[str, str]]]:
    """The real path, and each symbolic link met on the way as (its own real path, its target)."""
    links: list[tuple[str, str]] = []
    done = "/"
    rest = list(PurePosixPath(path).parts[1:])
    while rest:
        part = rest.pop(0)
        if part == "..":
            done = os.path.dirname(done)  # noqa: PTH120
            continue
        candidate = done.rstrip("/") + "/" + part
        target = readlink(candidate)
        if target is None:
            done = candidate
            continue
        links.append((candidate, target))
        if len(links) > 40:
            raise OSError(f"{path}: too many symbolic links")
        parts = list(PurePosixPath(target).parts)
        if target.startswith("/"):
            done, parts = "/", parts[1:]
        rest = parts + rest
    return done, links


def plan_root(
    needed: Iterable[str],
    *,
    traversable: Callable[[str], bool],
    readlink: Callable[[str], str | None],
    mounts: Iterable[str],
    cover: Iterable[str] = (),
) -> RootPlan:
    """What the root of every container is made of.

    needed: absolute paths that must be reachable for every user. traversable(directory): may everyone pass through it.
    mounts: the host's mount points. cover: directories to hide beside COVERED.
    """
    mounts = [mount for mount in mounts if mount != "/"]
    real: set[str] = set()
    links: dict[str, str] = {}
    for path in needed:
        target, met = follow(path, readlink)
        real.add(target)
        links.update(met)
    wanted = _outermost(real)
    covers = {*COVERED, *cover}
    for path in [*wanted, *links]:
        for ancestor in reversed(PurePosixPath(path).parents):
            if str(ancestor) != "/" and not traversable(str(ancestor)):
                if not _inside(str(ancestor), wanted):
                    covers.add(str(ancestor))
                break
    covered = _outermost(covers)
    system = [mount for mount in mounts if _inside(mount, SYSTEM)]
    binds = [path for path in wanted if _inside(path, covered) or _inside(path, mounts)]
    binds = _outermost([*binds, *(mount for mount in system if not _inside(mount, covered))])
    lost = {path: target for path, target in links.items() if _inside(path, covered) and not _inside(path, binds)}
    return RootPlan(
        tuple(covered), tuple(binds), tuple(sorted(lost.items())), tuple(b for b in binds if not traversable(b))
    )


def survey(needed: Iterable[str], cover: Iterable[str] = ()) -> RootPlan:
    """plan_root() on this machine."""

    def traversable(path: str) -> bool:
        try:
            status = os.stat(path)  # noqa: PTH116
        except OSError:
            return True
        return not stat.S_ISDIR(status.st_mode) or bool(status.st_mode & stat.S_IXOTH)

    def readlink(path: str) -> str | None:
        try:
            return os.readlink(path)  # noqa: PTH115
        except OSError:
            return None

    with open("/proc/self/mountinfo") as file:  # noqa: PTH123
        mounts = [line.split()[4].replace("\\040", " ") for line in file]
    existing = [path for path in needed if os.path.exists(path)]  # noqa: PTH110
    return plan_root(existing, traversable=traversable, readlink=readlink, mounts=mounts, cover=cover)


def resolve_in(root: str, path: str) -> str:
    """Where an absolute path of the container lies under root, its symbolic links read as the container would."""

    def readlink(candidate: str) -> str | None:
        try:
            return os.readlink(root + candidate)  # noqa: PTH115
        except OSError:
            return None

    return root + follow("/" + path.strip("/"), readlink)[0]


def _make_target(source: str, target: str) -> None:
    if os.path.isdir(source):  # noqa: PTH112
        os.makedirs(target, mode=0o755, exist_ok=True)  # noqa: PTH103
    elif not os.path.exists(target):  # noqa: PTH110
        os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)  # noqa: PTH103, PTH120
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))


def build(stage: str, plan: RootPlan) -> str:
    """Mount a container's root below stage (an empty directory) in the calling process's own mount namespace.

    Returns the root. Nothing of it outlives the namespace.
    """
    os.umask(0o022)
    linux.mount("tmpfs", stage, "tmpfs", 0, "mode=755")
    root = f"{stage}/root"
    for name in ("upper", "work", "root"):
        os.mkdir(f"{stage}/{name}", 0o755)  # noqa: PTH102
    linux.mount("overlay", root, "overlay", 0, f"lowerdir=/,upperdir={stage}/upper,workdir={stage}/work")
    for path in plan.covers:
        if os.path.isdir(root + path) and not os.path.islink(root + path):  # noqa: PTH112, PTH114
            mode = "mode=1777" if path in SHARED else "mode=755"
            linux.mount("tmpfs", root + path, "tmpfs", linux.MS_NOSUID, mode)
    for path in REMOVED:
        if os.path.lexists(root + path):
            os.unlink(root + path)  # noqa: PTH108
    for number, path in enumerate(plan.binds):
        _make_target(path, root + path)
        if path in plan.opened:
            _open_up(path, root + path, f"{stage}/opened{number}")
        else:
            linux.bind(path, root + path, readonly=True)
    for path, target in plan.links:
        if not os.path.lexists(root + path):
            os.makedirs(os.path.dirname(root + path), exist_ok=True)  # noqa: PTH103, PTH120
            os.symlink(target, root + path)  # noqa: PTH211
    _devices(root + "/dev")
    linux.mount("proc", root + "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    linux.mount("sysfs", root + "/sys", "sysfs", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC | linux.MS_RDONLY)
    return root


def _open_up(source: str, target: str, scratch: str) -> None:
    """Show source at target with a mode of its own, the host's untouched: a second, shallow overlay."""
    if not os.path.isdir(source):  # noqa: PTH112
        linux.bind(source, target, readonly=True)
        return
    for name in ("upper", "work"):
        os.makedirs(f"{scratch}/{name}")  # noqa: PTH103
    linux.mount("overlay", target, "overlay", 0, f"lowerdir={source},upperdir={scratch}/upper,workdir={scratch}/work")
    os.chmod(target, 0o755)  # noqa: PTH101


_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}


def _devices(dev: str) -> None:
    linux.mount("tmpfs", dev, "tmpfs", linux.MS_NOSUID, "mode=755")
    for name, (major, minor) in _DEVICES.items():
        os.mknod(f"{dev}/{name}", stat.S_IFCHR | 0o666, os.makedev(major, minor))
        os.chmod(f"{dev}/{name}", 0o666)  # noqa: PTH101
    os.mkdir(f"{dev}/pts")  # noqa: PTH102
    linux.mount(
        "devpts", f"{dev}/pts", "devpts", linux.MS_NOSUID | linux.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"
    )
    os.mkdir(f"{dev}/shm")  # noqa: PTH102
    linux.mount("tmpfs", f"{dev}/shm", "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=1777")
    for name, target in (
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ):
        os.symlink(target, f"{dev}/{name}")  # noqa: PTH211


def mount_volume(root: str, source: str, target: str, *, readonly: bool) -> None:
    """Bind one volume (directory or file) at a path of the container."""
    place = resolve_in(root, target)
    _make_target(source, place)
    linux.bind(source, place, readonly=readonly)


def write_file(root: str, path: str, content: str) -> None:
    """Replace a file of the container's root, be it a symbolic link on the machine."""
    place = root + path
    if os.path.islink(place):  # noqa: PTH114
        os.unlink(place)  # noqa: PTH108
    with open(place, "w") as file:  # noqa: PTH123
        file.write(content)
