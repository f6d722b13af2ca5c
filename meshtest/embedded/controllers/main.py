"""The process: one client, one world, all controllers."""

import asyncio
import logging
import os
import signal
from typing import Protocol

from kubeclient import Client, connection_from_kubeconfig
from kubeclient.resources import (
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DAEMON_SETS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    JOBS,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STATEFUL_SETS,
)
from meshtest.embedded.config import ControllersConfig
from meshtest.embedded.controllers.garbage import GarbageCollector
from meshtest.embedded.controllers.namespaces import Namespaces
from meshtest.embedded.controllers.scheduler import Scheduler
from meshtest.embedded.controllers.services import ServiceEndpoints
from meshtest.embedded.controllers.workloads import workload_controllers
from meshtest.embedded.controllers.world import World

log = logging.getLogger(__name__)
OWNED = (
    PODS,
    REPLICA_SETS,
    DEPLOYMENTS,
    STATEFUL_SETS,
    DAEMON_SETS,
    JOBS,
    SERVICES,
    ENDPOINT_SLICES,
    CONFIG_MAPS,
    SECRETS,
    SERVICE_ACCOUNTS,
    CONTROLLER_REVISIONS,
)
"""Resources whose objects commonly own others or are owned."""


class Closable(Protocol):
    """A controller as this module sees it: made, it works; closed, it does not."""

    async def close(self) -> None: ...


def run(config: ControllersConfig) -> None:
    """Runs until SIGTERM or SIGINT."""
    asyncio.run(_main(config))


async def _main(config: ControllersConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Client(connection_from_kubeconfig(config.kubeconfig), user_agent="meshtest-controllers") as client:
        world = World(client)
        controllers: list[Closable] = [
            *workload_controllers(world),
            ServiceEndpoints(world),
            Scheduler(world),
            Namespaces(world, config.ca_cert.read_text()),
            GarbageCollector(world, OWNED),
        ]
        await world.synced()
        log.info("controllers of %s have synced %d resources", config.cluster, len(world.views()))
        if config.ready_fd is not None:
            os.write(config.ready_fd, b"1")
            os.close(config.ready_fd)
        await stop.wait()
        for controller in controllers:
            await controller.close()
        await world.close()
