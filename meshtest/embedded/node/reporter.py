"""Sends a pod's status to the API server whenever it differs from what was sent."""

from __future__ import annotations

import asyncio
import logging
import time

from kubeclient import ApiError, KubeError
from kubeclient.resources import PODS
from meshtest.embedded.node import status
from meshtest.embedded.node.cell import Cell
from meshtest.embedded.node.states import Obj

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.2


async def report(cell: Cell) -> None:
    """For ever. What changes during a request, or while others have their turn, goes with the next one."""
    sent: Obj | None = None
    while True:
        await cell.dirty.wait()
        try:
            async with cell.host.turn:
                cell.dirty.clear()
                current = status.pod_status(cell.pod, cell.state, cell.host.config.address, time.time())
                if current != sent:
                    body = {"metadata": {"uid": cell.uid}, "status": current}
                    await cell.host.client.patch(PODS, cell.key[1], body, cell.key[0], subresource="status")
                    sent = current
            continue
        except ApiError as error:
            if error.is_not_found or error.is_conflict:  # the pod is gone, or another has its name
                continue
            log.warning("pod %s/%s: status: %s", *cell.key, error)
        except KubeError as error:
            log.warning("pod %s/%s: status: %s", *cell.key, error)
        await asyncio.sleep(RETRY_SECONDS)
        cell.dirty.set()
