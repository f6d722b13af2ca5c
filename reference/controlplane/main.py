"""The program of the image `meshtest/pilot`: `discovery`."""

import asyncio
import contextlib
import logging
import signal
import sys

from reference.controlplane.app import ControlPlane
from reference.controlplane.settings import Settings, from_environment


async def serve(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT."""
    task = asyncio.create_task(ControlPlane(settings).run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def main(argv: list[str]) -> int:
    """0 after a signal; 2 for arguments that make no sense."""
    if argv not in ([], ["discovery"]):
        sys.stderr.write(f"expected discovery, got {argv!r}\n")
        return 2
    settings = from_environment()
    logging.basicConfig(
        level=settings.log_level, stream=sys.stderr, format="%(asctime)s\t%(levelname)s\t%(name)s\t%(message)s"
    )
    asyncio.run(serve(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
