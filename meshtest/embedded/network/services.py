"""The service proxy of one node: watches Services and EndpointSlices, keeps the namespace's packet rules in step.

What the rules are is decided in `services_model` and `services_rules`; here is only when they are applied. The first
change is applied at once; those that come while nft runs are merged into the next run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress

from kubeclient import Client
from meshtest.embedded.config import SERVICE_CIDR
from meshtest.embedded.network import netlink
from meshtest.embedded.network.services_apply import RulesRefused, apply
from meshtest.embedded.network.services_flows import Lost, forget, lost_endpoints
from meshtest.embedded.network.services_model import Backends, Frontend, Node, frontends, settle_order
from meshtest.embedded.network.services_rules import Tables, change, skeleton, tables
from meshtest.embedded.network.services_watch import Key, ServiceWatch

log = logging.getLogger(__name__)
PAUSE_AFTER_REFUSAL = 1.0
"""Seconds until everything is loaded anew after nft refused."""


class ServiceProxy:
    """`run` applies rules until cancelled; `synced` is set once all Services of the first list are in force. `applied`
    counts runs of nft; `progress` is notified whenever `busy` may have become false: all changes known are in force.

    netns_fd: the node's namespace.
    node_name, node_address: for the Local traffic policies and node ports.
    service_cidrs: ranges of virtual addresses; a route to them is added, or the node itself could not send there.
    local: addresses that the node serves itself, such as DNS; no rule is made for them.
    watch: shared with others, and run by whoever made it; None: an own one.
    """

    def __init__(
        self,
        client: Client,
        netns_fd: int,
        *,
        node_name: str = "",
        node_address: str | None = None,
        service_cidrs: Iterable[str] = (SERVICE_CIDR,),
        local: Iterable[str] = (),
        watch: ServiceWatch | None = None,
    ) -> None:
        self.synced = asyncio.Event()
        self.applied = 0
        self.busy = False
        self.progress = asyncio.Condition()
        self._netns_fd = netns_fd
        self._node = Node(node_name, (node_address,) if node_address else ())
        self._service_cidrs = tuple(service_cidrs)
        self._skeleton = skeleton(self._service_cidrs, self._node.addresses)
        self._local = frozenset(local)
        self._own_watch = watch is None
        self._watch = watch or ServiceWatch(client)
        self._dirty: set[Key] = set()
        self._wake = asyncio.Event()
        self._state = ProxyState()
        self._watch.subscribe(self._on_change)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            if self._own_watch:
                group.create_task(self._watch.run())
            await self._watch.wait_synced()
            self._add_routes()
            self._dirty.update(self._watch.names())
            self._wake.set()
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._step()

    def _on_change(self, key: Key) -> None:
        self._dirty.add(key)
        self.busy = True
        self._wake.set()

    async def _step(self) -> None:
        keys, self._dirty = self._dirty, set()
        for key in keys:
            found = frontends(self._watch.service(key), self._watch.slices(key), self._node)
            self._state.set(key, {one: to for one, to in found.items() if one.address not in self._local})
        if not await self._apply():
            # the kernel's state may not be what was believed: everything anew mends that, at once
            self._state.forget()
            if not await self._apply():
                await asyncio.sleep(PAUSE_AFTER_REFUSAL)
                self._wake.set()
                return
        self.synced.set()
        self.busy = bool(self._dirty)
        async with self.progress:
            self.progress.notify_all()

    async def _apply(self) -> bool:
        script = self._state.script(self._skeleton)
        if script:
            try:
                await apply(self._netns_fd, script)
            except RulesRefused as error:
                log.error("rules of services: %s", error)
                return False
            self.applied += 1
        lost = self._state.confirm()
        try:
            forget(self._netns_fd, lost)
        except OSError as error:
            log.warning("UDP flows to endpoints that are gone stay: %s", error)
        return True

    def _add_routes(self) -> None:
        """The node's own connections need a route before their address is translated. Harmless where there is one."""
        with suppress(OSError):
            index = netlink.index_of(self._netns_fd, "eth0")
            source = self._node.addresses[0] if self._node.addresses else None
            for cidr in self._service_cidrs:
                same_family = source if source and (":" in source) == (":" in cidr) else None
                netlink.execute(self._netns_fd, [netlink.route(cidr, index, source=same_family)])


class ProxyState:
    """What is wanted, what the kernel has, and the script between; no I/O."""

    def __init__(self) -> None:
        self._services: dict[Key, dict[Frontend, Backends]] = {}
        self._owner: dict[Frontend, Key] = {}
        self._loaded: dict[Frontend, Backends] = {}
        self._wanted: dict[Frontend, Backends] = {}
        self._touched: set[Frontend] = set()
        self._chains: frozenset[str] = frozenset()
        self._pending_chains: frozenset[str] = frozenset()
        self._fresh = True

    def set(self, key: Key, found: dict[Frontend, Backends]) -> None:
        """A Service's frontends as they are to be. Where two Services claim one, the first keeps it."""
        before = self._services.pop(key, {})
        for frontend in before:
            if self._owner.get(frontend) == key:
                del self._owner[frontend]
                del self._wanted[frontend]
                self._touched.add(frontend)
        if found:
            self._services[key] = found
        for frontend in found:
            self._claim(key, frontend)
        for frontend in before.keys() - found.keys():
            for other, theirs in self._services.items() if frontend not in self._owner else ():
                if frontend in theirs:
                    self._claim(other, frontend)
                    break

    def _claim(self, key: Key, frontend: Frontend) -> None:
        if self._owner.setdefault(frontend, key) != key:
            return
        wanted = self._services[key][frontend]
        loaded = self._loaded.get(frontend)
        order = settle_order(loaded.endpoints if loaded else (), wanted.endpoints)
        self._wanted[frontend] = Backends(order, wanted.sticky, wanted.masquerade)
        self._touched.add(frontend)

    def script(self, empty_table: str) -> str:
        """The nft commands to be applied now, none when the kernel has all. empty_table: what makes the table anew."""
        if self._fresh:
            after = tables(self._wanted)
            self._pending_chains = after.chains
            return empty_table + change(Tables(), after)
        before = tables({one: self._loaded[one] for one in self._touched if one in self._loaded})
        after = tables({one: self._wanted[one] for one in self._touched if one in self._wanted})
        self._pending_chains = self._chains | after.chains
        return change(before, after, self._chains)

    def confirm(self) -> Lost:
        """The last script is in force. Returns who is not to be reached by UDP any more."""
        before = {one: self._loaded[one] for one in self._touched if one in self._loaded}
        for frontend in self._touched:
            if frontend in self._wanted:
                self._loaded[frontend] = self._wanted[frontend]
            else:
                self._loaded.pop(frontend, None)
        self._touched.clear()
        self._chains = self._pending_chains
        self._fresh = False
        return lost_endpoints(before, self._loaded)

    def forget(self) -> None:
        """The kernel's state is unknown: the next script replaces everything."""
        self._fresh = True
