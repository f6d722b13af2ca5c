"""A pod's volumes over its life: made before the first container, kept current, tokens renewed in time."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

from kubeclient.resources import SERVICE_ACCOUNTS
from meshtest.embedded.node import volumes
from meshtest.embedded.node.cell import Cell
from meshtest.embedded.node.states import Obj

log = logging.getLogger(__name__)

RENEW_AT = 0.8
"""Part of a token's life after which it is replaced, as kubelets do."""


class VolumeKeeper:
    """sources: volume name -> path of the host that it is mounted from. renew_at: when tokens are due, if any."""

    def __init__(self, cell: Cell) -> None:
        self.sources: dict[str, str] = {}
        self.renew_at: float | None = None
        self._cell = cell
        self._tokens: dict[volumes.TokenRequest, str] = {}

    async def prepare(self) -> None:
        """Make all volumes. VolumeMissing, OSError or a KubeError when one cannot be made yet."""
        await self.renew_tokens()
        directory = self._cell.directory / "volumes"
        group = self._group()
        self.sources = {v["name"]: volumes.make_source(v, directory / v["name"], group) for v in self._volumes()}
        self._write()

    def refresh(self) -> None:
        """Bring the files of live volumes up to date; what cannot be made now stays as it was."""
        if not self._cell.state.sandbox:
            return
        try:
            self._write()
        except (volumes.VolumeMissing, OSError) as error:
            log.info("pod %s/%s: volumes not refreshed: %s", *self._cell.key, error)

    async def renew_tokens(self) -> None:
        """Ask for new tokens for all volumes that have one."""
        requests = sorted(volumes.token_requests(self._cell.pod), key=lambda r: r.audience)
        if not requests:
            return
        answers = await asyncio.gather(*(self._request_token(request) for request in requests))
        self._tokens = dict(zip(requests, answers, strict=True))
        self.renew_at = time.time() + RENEW_AT * min(request.seconds for request in requests)
        self.refresh()

    def _volumes(self) -> list[Obj]:
        return list(self._cell.pod["spec"].get("volumes") or ())

    def _group(self) -> int | None:
        group = (self._cell.pod["spec"].get("securityContext") or {}).get("fsGroup")
        return None if group is None else int(group)

    def _write(self) -> None:
        facts = self._cell.facts()
        for volume in self._volumes():
            if volumes.is_live(volume):
                files = volumes.content(volume, self._cell.pod, facts, self._tokens)
                volumes.write_files(Path(self.sources[volume["name"]]), files, self._group())

    async def _request_token(self, request: volumes.TokenRequest) -> str:
        account = self._cell.pod["spec"].get("serviceAccountName") or "default"
        metadata = self._cell.pod["metadata"]
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [request.audience] if request.audience else [],
                "expirationSeconds": request.seconds,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]},
            },
        }
        async with self._cell.host.turn:
            answer = await self._cell.host.client.create(
                SERVICE_ACCOUNTS, body, self._cell.key[0], name=account, subresource="token"
            )
        return str(answer["status"]["token"])
