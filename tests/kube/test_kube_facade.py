"""The loop thread, and connections handed over a Unix socket."""

import array
import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meshtest.kube import DialError, LoopThread, UnixSocketDialer


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    """Closed at the end."""
    made = LoopThread("test-loop")
    yield made
    made.close()


def test_runs_coroutines_from_any_thread(loop: LoopThread) -> None:
    async def answer() -> str:
        await asyncio.sleep(0)
        return threading.current_thread().name

    assert loop.run(answer()) == "test-loop"


def test_a_blocking_call_on_its_own_thread_is_refused(loop: LoopThread) -> None:
    async def inner() -> None: ...

    async def outer() -> None:
        loop.run(inner())

    with pytest.raises(RuntimeError, match="blocking call on the loop's own thread"):
        loop.run(outer())


def test_closing_cancels_what_runs_and_takes_nothing_more() -> None:
    made = LoopThread("test-loop")
    cancelled = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def nothing() -> None: ...

    made.submit(forever())
    made.run(nothing())
    made.close()
    made.close()
    assert cancelled.is_set()
    late = nothing()
    with pytest.raises(RuntimeError, match="closed"):
        made.run(late)
    late.close()


def serve(path: Path, answer: Callable[[socket.socket, dict[str, object]], None]) -> threading.Thread:
    """One request to a dial socket."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(1)

    def one() -> None:
        with listener, listener.accept()[0] as connection:
            answer(connection, json.loads(connection.makefile("rb").readline()))

    thread = threading.Thread(target=one)
    thread.start()
    return thread


def test_the_node_hands_a_connected_descriptor_over(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    asked: list[dict[str, object]] = []

    def answer(connection: socket.socket, request: dict[str, object]) -> None:
        asked.append(request)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno()]))
        connection.sendmsg([b"{}\n"], [rights])

    thread = serve(tmp_path / "dial.sock", answer)
    dialed = UnixSocketDialer(tmp_path / "dial.sock").dial_now("apps", "a-1", 17171)
    thread.join()
    theirs.close()
    dialed.sendall(b"hello")
    assert ours.recv(5) == b"hello"
    assert asked == [{"namespace": "apps", "pod": "a-1", "port": 17171}]
    dialed.close()
    ours.close()


def test_a_refusal_names_the_target_and_the_reason(tmp_path: Path) -> None:
    thread = serve(tmp_path / "dial.sock", lambda connection, _: connection.sendall(b'{"error": "no such pod"}\n'))
    with pytest.raises(DialError, match="dial apps/a-1:80: no such pod"):
        UnixSocketDialer(tmp_path / "dial.sock").dial_now("apps", "a-1", 80)
    thread.join()


def test_a_cluster_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(DialError, match=r"dial apps/a-1:80: no answer from the node .*is the cluster up\?"):
        UnixSocketDialer(tmp_path / "none.sock").dial_now("apps", "a-1", 80)
