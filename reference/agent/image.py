"""The image `meshtest/proxy` as data, for the embedded cluster's entry-point group `meshtest.images`."""

IMAGE: dict[str, object] = {
    "python": "reference.agent.main:main",
    "warm": ["reference.agent.main"],
    "user": 1337,
    "env": {"PYTHONUNBUFFERED": "1"},
}
