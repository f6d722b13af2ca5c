"""The image `meshtest/pilot` as data, for the embedded cluster's entry-point group `meshtest.images`."""

IMAGE: dict[str, object] = {
    "python": "reference.controlplane.main:main",
    "warm": ["reference.controlplane.main"],
    "user": 1337,
    "env": {"PYTHONUNBUFFERED": "1"},
}
