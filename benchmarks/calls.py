"""Requests through two sidecars, from the test's call to its checked answer, and beside them without any."""

from benchmarks.statistics import percentile, timed
from benchmarks.world import meshed
from meshtest.echo import EchoBuilder, checks
from meshtest.echo.instance import Echo

REQUESTS = 100
ROUNDS = 20
MANY = 5000


def measure() -> dict[str, float]:
    """`calls_100_ms` and `calls_100_grpc_ms`: p50 of 100 requests, 8 at a time. `calls_per_s` through two sidecars, and
    `calls_per_s_direct` between two pods without: 5,000 requests in one call, 8 at a time.
    """
    with meshed() as context:
        apps = (
            EchoBuilder(context)
            .with_(name="a")
            .with_(name="b")
            .with_(name="from", proxy=False)
            .with_(name="to", proxy=False)
            .build()
        )
        http = [_hundred(apps.a, apps.b, "http") for _ in range(ROUNDS)]
        grpc = [_hundred(apps.a, apps.b, "grpc") for _ in range(ROUNDS)]
        meshed_rate = _rate(apps.a, apps.b)
        direct_rate = _rate(apps["from"], apps["to"])
    return {
        "calls_100_ms": percentile(http, 0.5),
        "calls_100_grpc_ms": percentile(grpc, 0.5),
        "calls_per_s": meshed_rate,
        "calls_per_s_direct": direct_rate,
    }


def _hundred(source: Echo, target: Echo, port: str) -> float:
    with timed() as taken:
        source.call(target, port=port, count=REQUESTS).check(checks.ok())
    return taken.seconds * 1000


def _rate(source: Echo, target: Echo) -> float:
    with timed() as taken:
        source.call(target, port="http", count=MANY).check(checks.ok())
    return MANY / taken.seconds
