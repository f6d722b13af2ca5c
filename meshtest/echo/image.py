"""The echo workload as an image: a name and an entry point, read by whoever runs containers. Imports nothing."""

IMAGE: dict[str, object] = {
    "python": "meshtest.echo.server.main:main",
    "warm": ["meshtest.echo.server.main"],
    "user": 0,
    "env": {},
}
