"""Leases, and the wire between workers and the controller."""

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from meshtest.environment.protocol import Attachment
from meshtest.plugin.broker import Broker, BrokerClient, BrokerError, attachment_of
from meshtest.plugin.host import Host
from meshtest.plugin.leases import Leases

ATTACHMENT = Attachment("embedded", "run-1", (("cluster-0", "network-0", "/a", "/b"),))


def test_readers_share_and_a_writer_waits_for_them() -> None:
    leases = Leases()
    assert leases.acquire("a", exclusive=False)
    assert leases.acquire("b", exclusive=False)
    granted = threading.Event()

    def write() -> None:
        leases.acquire("c", exclusive=True)
        granted.set()

    writer = threading.Thread(target=write)
    writer.start()
    leases.release("a")
    assert not granted.is_set()
    leases.release("b")
    writer.join(10)
    assert granted.is_set()


def test_a_dead_holder_lets_go_and_stops_waiting() -> None:
    leases = Leases()
    leases.acquire("dead", exclusive=True)
    answers: list[bool] = []
    waiter = threading.Thread(target=lambda: answers.append(leases.acquire("alive", exclusive=True)))
    waiter.start()
    leases.drop("dead")
    waiter.join(10)
    assert answers == [True]
    leases.drop("dying")
    assert not leases.acquire("dying", exclusive=False)


def test_a_holder_cannot_wait_for_itself() -> None:
    leases = Leases()
    leases.acquire("a", exclusive=False)
    with pytest.raises(RuntimeError, match="a holds a lease already"):
        leases.acquire("a", exclusive=True)


class FakeHost:
    """What the broker asks of a host."""

    def __init__(self) -> None:
        self.leases = Leases()
        self.log: list[str] = []
        self.cleaned = threading.Event()
        self.fail: Exception | None = None

    def want(self) -> None:
        self.log.append("want")

    def environment(self) -> Any:
        if self.fail is not None:
            raise self.fail
        return SimpleNamespace(attachment=lambda: ATTACHMENT)

    def mesh(self) -> None:
        self.log.append("mesh")

    def clean_lane(self, lane: str) -> None:
        self.log.append(f"clean {lane}")
        self.cleaned.set()


@pytest.fixture
def host() -> FakeHost:
    """A fresh one."""
    return FakeHost()


@pytest.fixture
def broker(host: FakeHost) -> Any:
    """Serving that host."""
    made = Broker(cast("Host", host))
    yield made
    made.close()


def test_the_attachment_survives_the_wire(broker: Broker) -> None:
    client = BrokerClient(str(broker.path), "w0")
    assert attachment_of(client.ask_aside("environment")) == ATTACHMENT
    client.close()


def test_requests_reach_the_host_and_groups_the_scheduler(broker: Broker, host: FakeHost) -> None:
    client = BrokerClient(str(broker.path), "w0")
    client.ask("want")
    client.ask_aside("mesh")
    client.ask("groups", groups={"t.py::a": "mesh_wide"})
    client.close()
    assert host.log == ["want", "mesh"]
    assert broker.groups == {"t.py::a": "mesh_wide"}


def test_the_hosts_failure_is_the_workers(broker: Broker, host: FakeHost) -> None:
    host.fail = OSError("no more memory")
    client = BrokerClient(str(broker.path), "w0")
    with pytest.raises(BrokerError, match="OSError: no more memory"):
        client.ask("environment")
    client.close()


def test_a_connection_that_breaks_is_a_crash_whose_lease_and_lane_are_cleaned(broker: Broker, host: FakeHost) -> None:
    crashing = BrokerClient(str(broker.path), "w0")
    crashing.ask("acquire", exclusive=True)
    crashing._stream.close()
    crashing._socket.close()
    assert host.cleaned.wait(10)
    other = BrokerClient(str(broker.path), "w1")
    assert other.ask("acquire", exclusive=True) == {"granted": True}
    other.close()
    assert host.log == ["clean w0"]


def test_a_closed_broker_leaves_no_socket(host: FakeHost) -> None:
    broker = Broker(cast("Host", host))
    broker.close()
    broker.close()
    assert not broker.path.parent.exists()
