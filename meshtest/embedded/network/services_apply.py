"""Runs nft in a network namespace without holding up the event loop.

No threads and no pipes: the child is born while this thread is in the namespace, reads its script from a file in memory
and leaves its complaints in another; the loop watches its process descriptor.
"""

from __future__ import annotations

import asyncio
import os
import subprocess

from meshtest.embedded import linux


class RulesRefused(Exception):
    """nft did not take a script; the message has its complaint and the script's beginning."""


def _memory_file(name: str, content: bytes = b"") -> int:
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


async def _ended(pid: int) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    descriptor = os.pidfd_open(pid)
    loop.add_reader(descriptor, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def apply(netns_fd: int, script: str) -> None:
    """Load the script, all or nothing. RulesRefused; FileNotFoundError without nft."""
    source, complaints = _memory_file("rules", script.encode()), _memory_file("complaints")
    try:
        with linux.in_netns(netns_fd):
            process = subprocess.Popen(  # noqa: ASYNC220 - it has nothing to block on
                ["nft", "-f", "-"], stdin=source, stdout=subprocess.DEVNULL, stderr=complaints
            )
        try:
            await _ended(process.pid)
        except asyncio.CancelledError:
            process.kill()
            raise
        finally:
            status = process.wait()
        if status != 0:
            text = os.pread(complaints, 2000, 0).decode(errors="replace").strip()
            raise RulesRefused(f"nft ended with {status}: {text}\n{script[:2000]}")
    finally:
        os.close(source)
        os.close(complaints)
