"""The child's side of a container's start: from a fork of the warm process to the first line of the program.

Runs between fork and exec (or the entry point's call): single-threaded; every failure is one line on the error pipe.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import logging
import os
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import NoReturn

from meshtest.embedded import linux
from meshtest.embedded.images import rootfs
from meshtest.embedded.images.protocol import Container, Process

# What container engines leave to root by default (the OCI runtimes' common set).
DEFAULT_CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
)  # fmt: skip
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def capabilities(process: Process) -> frozenset[int]:
    """Numbers of the capabilities that a process may hold: the default set, minus drop, plus add (``ALL`` in
    either)."""
    everything = frozenset(linux.CAPABILITIES.values())
    if process.privileged:
        return everything
    kept = {linux.CAPABILITIES[name] for name in DEFAULT_CAPABILITIES}

    def numbers(names: tuple[str, ...]) -> set[int]:
        chosen: set[int] = set()
        for name in names:
            short = name.upper().removeprefix("CAP_")
            if short == "ALL":
                chosen |= everything
            elif short in linux.CAPABILITIES:
                chosen.add(linux.CAPABILITIES[short])
            else:
                raise ValueError(f"unknown capability {name!r}")
        return chosen

    # an explicit add outlives drop: ALL, as container engines have it
    return frozenset((kept - numbers(process.capabilities_drop)) | numbers(process.capabilities_add))


def _take_streams(fds: list[int]) -> None:
    """Make the three descriptors 0, 1 and 2."""
    moved = [os.dup(fd) for fd in fds]
    for number, fd in enumerate(moved):
        os.dup2(fd, number, inheritable=True)


def become(process: Process) -> None:
    """Give up what the process shall not have: user, groups, capabilities."""
    kept = capabilities(process)
    os.setgroups(sorted({process.gid, *process.groups}))
    linux.bound_capabilities(kept)
    if process.uid == 0 and process.gid == 0:
        linux.hold_capabilities(kept)
    else:
        for stream in (0, 1, 2):
            # opening /dev/stdout again (Envoy's access log) asks for permission on the pipe itself
            try:
                os.fchown(stream, process.uid, process.gid)
            except OSError:
                continue
        os.setgid(process.gid)
        os.setuid(process.uid)
    if process.no_new_privileges:
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)


def _reset_signals() -> None:
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            try:
                signal.signal(number, signal.SIG_DFL)
            except (OSError, ValueError):
                continue
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def execute(process: Process) -> NoReturn:
    """Replace this process by its program. OSError when it is not there or cannot be executed."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    env = {"PATH": PATH, **process.env}
    program = process.argv[0]
    candidates = [program] if "/" in program else [f"{part or '.'}/{program}" for part in env["PATH"].split(":")]
    failure: OSError = FileNotFoundError(f'exec: "{program}": executable file not found in $PATH')
    for candidate in candidates:
        try:
            os.execve(candidate, list(process.argv), env)
        except (FileNotFoundError, NotADirectoryError) as error:
            if "/" in program:
                failure = FileNotFoundError(f'exec: "{program}": {error.strerror}')
        except OSError as error:
            failure = OSError(error.errno, f'exec: "{candidate}": {error.strerror}')
    raise failure


def _terminated(*_: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)


def _fresh_interpreter(container: Container) -> None:
    """Make the forked interpreter look as if it had just started."""
    os.environ.clear()
    os.environ.update({"PATH": PATH, **container.process.env})
    sys.argv = [container.name, *container.process.argv]
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    # PID 1 of a namespace ignores a signal that it has no handler for; Python programs shall not wait out their grace
    signal.signal(signal.SIGTERM, _terminated)
    random.seed()
    logging.root.handlers.clear()
    logging.root.setLevel(logging.WARNING)
    gc.enable()


def call(entry: str, argv: list[str]) -> int:
    """Call ``module:function`` as a program would run: its exit code, a traceback on stderr when it raises."""
    module_name, _, function_name = entry.partition(":")
    try:
        function: Callable[[list[str]], int | None] = getattr(importlib.import_module(module_name), function_name)
        result = function(argv)
        code = result if isinstance(result, int) else 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
        code = 1
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
    return code


def start(container: Container, fds: list[int], plan: rootfs.RootPlan, stage: str, ready: int) -> int:
    """In the forked child, PID 1 of its namespace: build the root, become the user, run the program.

    fds: netns, stdin, stdout, stderr. ready: closed when the program starts. Returns a Python program's exit code.
    """
    netns, *streams = fds
    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWUTS | linux.CLONE_NEWIPC)
    linux.setns(netns, linux.CLONE_NEWNET)
    if container.hostname:
        linux.sethostname(container.hostname)
    root = rootfs.build(stage, plan)
    for path, content in container.files.items():
        rootfs.write_file(root, path, content)
    for mount in container.mounts:
        rootfs.mount_volume(root, mount.source, mount.target, readonly=mount.readonly)
    linux.pivot_root(root)
    if container.readonly_root:
        linux.mount("", "/", None, linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY)
    _take_streams(streams)
    linux.set_process_name(container.name)
    _enter(container.process, ready)
    if container.python is None:
        execute(container.process)
    _fresh_interpreter(container)
    os.close(ready)
    return call(container.python, list(container.process.argv))


def join(process: Process, pidfd: int, streams: list[int], ready: int) -> NoReturn:
    """In the forked child, already in the container's PID namespace: enter the others and execute."""
    linux.setns(pidfd, linux.CLONE_NEWNS | linux.CLONE_NEWUTS | linux.CLONE_NEWIPC | linux.CLONE_NEWNET)
    os.setsid()
    _take_streams(streams)
    if process.tty:
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    _enter(process, ready)
    execute(process)


def _enter(process: Process, ready: int) -> None:
    os.closerange(3, ready)
    os.closerange(ready + 1, 1 << 20)
    os.makedirs(process.cwd, exist_ok=True)  # noqa: PTH103
    become(process)
    os.chdir(process.cwd)
    _reset_signals()
