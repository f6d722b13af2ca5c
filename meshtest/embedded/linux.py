"""The few Linux calls that Python 3.11 does not offer: namespaces, mounts, capabilities.

Everything raises OSError with the call's name, so that a failure says which step of a container's start went wrong.
"""

from __future__ import annotations

import ctypes
import os
import platform
import socket
from collections.abc import Iterator
from contextlib import contextmanager

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_SET_NAME = 15

_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}.get(platform.machine(), 155)
_CAPSET = {"x86_64": 126, "aarch64": 91}.get(platform.machine(), 126)
_CAP_VERSION_3 = 0x20080522

# capability numbers, linux/capability.h
CAPABILITIES = {
    name: number
    for number, name in enumerate(
        [
            "CHOWN",
            "DAC_OVERRIDE",
            "DAC_READ_SEARCH",
            "FOWNER",
            "FSETID",
            "KILL",
            "SETGID",
            "SETUID",
            "SETPCAP",
            "LINUX_IMMUTABLE",
            "NET_BIND_SERVICE",
            "NET_BROADCAST",
            "NET_ADMIN",
            "NET_RAW",
            "IPC_LOCK",
            "IPC_OWNER",
            "SYS_MODULE",
            "SYS_RAWIO",
            "SYS_CHROOT",
            "SYS_PTRACE",
            "SYS_PACCT",
            "SYS_ADMIN",
            "SYS_BOOT",
            "SYS_NICE",
            "SYS_RESOURCE",
            "SYS_TIME",
            "SYS_TTY_CONFIG",
            "MKNOD",
            "LEASE",
            "AUDIT_WRITE",
            "AUDIT_CONTROL",
            "SETFCAP",
            "MAC_OVERRIDE",
            "MAC_ADMIN",
            "SYSLOG",
            "WAKE_ALARM",
            "BLOCK_SUSPEND",
            "AUDIT_READ",
            "PERFMON",
            "BPF",
            "CHECKPOINT_RESTORE",
        ]
    )
}

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{what}: {os.strerror(errno)}")


def unshare(flags: int) -> None:
    """Move the calling thread into new namespaces (CLONE_NEWPID: its future children)."""
    _check(_libc.unshare(ctypes.c_int(flags)), f"unshare({flags:#x})")


def setns(fd: int, flags: int = 0) -> None:
    """Enter the namespace of fd, or with a pidfd those namespaces of that process that flags name."""
    _check(_libc.setns(ctypes.c_int(fd), ctypes.c_int(flags)), f"setns({fd}, {flags:#x})")


def mount(source: str, target: str, fstype: str | None, flags: int = 0, data: str | None = None) -> None:
    """mount(2); all strings are encoded as file names."""
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        fstype.encode() if fstype else None,
        ctypes.c_ulong(flags),
        data.encode() if data else None,
    )
    _check(result, f"mount({source} on {target}, type {fstype}, flags {flags:#x}, {data})")


def bind(source: str, target: str, *, readonly: bool = False, recursive: bool = True) -> None:
    """Bind-mount source on target, which must exist and be of the same kind (directory or file)."""
    mount(source, target, None, MS_BIND | (MS_REC if recursive else 0))
    if readonly:
        mount(source, target, None, MS_BIND | MS_REMOUNT | MS_RDONLY)


def umount(target: str, flags: int = MNT_DETACH) -> None:
    """umount2(2), lazily unless told otherwise."""
    _check(_libc.umount2(os.fsencode(target), ctypes.c_int(flags)), f"umount({target})")


def pivot_root(new_root: str) -> None:
    """Make new_root (a mount point) the root and forget the old one."""
    os.chdir(new_root)
    # pivot_root(".", ".") stacks the old root over the new one; the detach below uncovers it: no put-old directory
    _check(_libc.syscall(_PIVOT_ROOT, b".", b"."), f"pivot_root({new_root})")
    umount(".")
    os.chdir("/")


def prctl(option: int, argument: int = 0) -> None:
    """prctl(2) with one numeric argument."""
    _check(_libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0), f"prctl({option}, {argument})")


def set_process_name(name: str) -> None:
    """What ps shows as the command of this process; the kernel keeps 15 bytes."""
    buffer = ctypes.create_string_buffer(name.encode()[:15])
    _libc.prctl(PR_SET_NAME, buffer, 0, 0, 0)


def sethostname(name: str) -> None:
    """Host name of this UTS namespace."""
    socket.sethostname(name)


class _CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapData(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def bound_capabilities(keep: frozenset[int]) -> None:
    """Let no exec, of a set-user-ID program either, regain a capability that is not numbered in keep."""
    with open("/proc/sys/kernel/cap_last_cap") as file:  # noqa: PTH123 - between fork and exec: no pathlib
        last = int(file.read())
    for number in range(last + 1):
        if number not in keep:
            prctl(PR_CAPBSET_DROP, number)


def hold_capabilities(keep: frozenset[int]) -> None:
    """Give up every capability held but those numbered in keep."""
    with open("/proc/self/status") as file:  # noqa: PTH123
        held = next(int(line.split()[1], 16) for line in file if line.startswith("CapPrm"))
    mask = sum(1 << number for number in keep) & held
    header = _CapHeader(_CAP_VERSION_3, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = (_CapData * 2)(_CapData(low, low, 0), _CapData(high, high, 0))
    _check(_libc.syscall(_CAPSET, ctypes.byref(header), ctypes.byref(data)), "capset")


def open_netns() -> int:
    """A descriptor of the calling thread's network namespace."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def in_netns(fd: int) -> Iterator[None]:
    """Run the body in another network namespace. Synchronous bodies only: an await inside would leak it to other
    tasks."""
    home = open_netns()
    try:
        setns(fd, CLONE_NEWNET)
        try:
            yield
        finally:
            setns(home, CLONE_NEWNET)
    finally:
        os.close(home)


def new_netns() -> int:
    """A new network namespace that lives as long as the returned descriptor (or what is in it)."""
    home = open_netns()
    try:
        unshare(CLONE_NEWNET)
        try:
            return open_netns()
        finally:
            setns(home, CLONE_NEWNET)
    finally:
        os.close(home)


def socket_in(netns_fd: int, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A socket that belongs to the given namespace, whoever uses it."""
    with in_netns(netns_fd):
        return socket.socket(family, kind)
