"""Shared by all tests of meshtest itself."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """grpc.aio and aiohttp are asyncio-only, so that is the one backend."""
    return "asyncio"
