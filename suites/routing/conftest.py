"""The protocols that routing is tested over, by the name of the echoes' port."""

import pytest


@pytest.fixture(params=["http", "http2", "grpc"])
def port(request: pytest.FixtureRequest) -> str:
    """HTTP/1.1, HTTP/2 and gRPC."""
    name: str = request.param
    return name


@pytest.fixture(params=["http", "http2"])
def http_port(request: pytest.FixtureRequest) -> str:
    """HTTP/1.1 and HTTP/2, for what gRPC does not have: methods, redirects, bodies, cookies."""
    name: str = request.param
    return name
