"""What the supervisor forks: each child's descriptors, log and entry point."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from meshtest.embedded import linux


@dataclass(slots=True)
class Child:
    """A forked process. ready: read end of the pipe on which it says that it serves; None once it has, or if it has
    none."""

    name: str
    pid: int
    log: Path
    ready: int | None = None
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """What to fork. run: called in the child with the descriptor to report readiness on; keep: descriptors it owns."""

    name: str
    log: Path
    run: Callable[[int], None]
    keep: frozenset[int] = field(default_factory=frozenset)
    reports_ready: bool = True


def tail(path: Path, lines: int = 20) -> str:
    """The last lines of a log; empty when there is none."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def fork(program: Program) -> Child:
    """Fork a child that runs the program and exits. Every descriptor but its own is closed in it."""
    ready_read, ready_write = os.pipe2(os.O_CLOEXEC)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _become(program, ready_write)
    os.close(ready_write)
    if not program.reports_ready:
        os.close(ready_read)
    return Child(program.name, pid, program.log, ready_read if program.reports_ready else None)


def _close_others(keep: Iterable[int]) -> None:
    low = 3
    for fd in sorted({fd for fd in keep if fd > 2}):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, 1 << 20)


def _become(program: Program, ready: int) -> NoReturn:
    code = 1
    try:
        for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the test run's to handle
        signal.set_wakeup_fd(-1)
        _close_others({*program.keep, ready})
        log = os.open(program.log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if log > 2:
            os.close(log)
        linux.set_process_name(program.name)
        program.run(ready)
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
