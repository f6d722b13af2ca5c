"""A watch tells everything in order, its bookmarks too."""

import asyncio

import orjson
import pytest

from meshtest.embedded.apiserver.builtin import BUILTIN
from meshtest.embedded.apiserver.kinds import Registry
from meshtest.embedded.apiserver.reads import Format
from meshtest.embedded.apiserver.store import Store
from meshtest.embedded.apiserver.watching import Watch, WatchRequest

pytestmark = pytest.mark.anyio


async def test_a_bookmark_does_not_overtake_an_event_of_the_same_turn() -> None:
    kind = Registry(BUILTIN).find("", "v1", "configmaps")
    assert kind is not None
    store = Store()
    watch = Watch(store, WatchRequest(kind, "v1", None, None, Format(), None, bookmarks=True))
    watch.open()
    taking = asyncio.create_task(watch.take(quiet=0))
    await asyncio.sleep(0)  # it waits now, and its time is over in the loop's next turn, in which the event comes
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "ns"}}
    asyncio.get_running_loop().call_soon(store.collection(kind.key).put, obj)
    data = await taking
    assert data is not None
    assert orjson.loads(data)["type"] == "ADDED"
    bookmark = await watch.take(quiet=0)
    assert bookmark is not None
    assert orjson.loads(bookmark)["type"] == "BOOKMARK"
