"""A work queue with one task for each key that needs work.

While a key is worked on, further events only mark it, and it is worked on once more afterwards: changes coalesce
without waiting.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from kubeclient import ApiError, KubeError

log = logging.getLogger(__name__)
K = TypeVar("K")
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 5.0
"""Seconds to wait after a failure, doubled with each further one of the same key."""


class WorkQueue(Generic[K]):
    """Runs `work(key)` for each key added, different keys at the same time, one key never twice at once.

    `work` answers the seconds after which to run again, or None. A failure is retried, later each time. Nothing runs
    before `ready`: a plan made from half a view would create what is already there.
    """

    def __init__(self, name: str, work: Callable[[K], Awaitable[float | None]], ready: asyncio.Event) -> None:
        self._name, self._work, self._ready = name, work, ready
        self._dirty: set[K] = set()
        self._running: dict[K, asyncio.Task[None]] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}

    def add(self, key: K) -> None:
        """Something happened to `key`. Must be called in the loop."""
        self._dirty.add(key)
        if key not in self._running:
            self._running[key] = asyncio.get_running_loop().create_task(self._run(key), name=f"{self._name} {key}")

    async def close(self) -> None:
        """Cancels all work."""
        for timer in self._timers.values():
            timer.cancel()
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, key: K) -> None:
        pause = FIRST_PAUSE
        try:
            await self._ready.wait()
            while key in self._dirty:
                self._dirty.discard(key)
                if timer := self._timers.pop(key, None):
                    timer.cancel()
                try:
                    again_after = await self._work(key)
                except KubeError as error:
                    self._report(key, error)
                    self._dirty.add(key)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE)
                    continue
                except Exception:
                    # A bug with one object must neither end the controller nor spin.
                    log.exception("%s: %s failed", self._name, key)
                    self._dirty.add(key)
                    await asyncio.sleep(max(pause, 1.0))
                    pause = min(pause * 2, LONGEST_PAUSE)
                    continue
                pause = FIRST_PAUSE
                if again_after is not None:
                    self._again(key, again_after)
        finally:
            del self._running[key]

    def _again(self, key: K, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._timers[key] = loop.call_later(seconds, self.add, key)

    def _report(self, key: K, error: KubeError) -> None:
        ordinary = isinstance(error, ApiError) and (error.is_conflict or error.is_not_found)
        log.log(logging.DEBUG if ordinary else logging.WARNING, "%s: %s: %s; trying again", self._name, key, error)
