"""Which images there are, and what an image name in a pod refers to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points

GROUP = "meshtest.images"


class UnknownImage(Exception):
    """No image of that name on this machine; the message says what there is and what to do."""


class BrokenImage(Exception):
    """The image's definition cannot be loaded."""


@dataclass(frozen=True, slots=True)
class Image:
    """An entry point on this machine.

    python: ``module:function`` called as ``main(argv)`` in a process forked from the warm one.
    binary: a program that is executed; neither of the two: the pod must bring a ``command``.
    warm: modules that the warm process imports before any container is asked for.
    user: default uid.
    paths: files or directories that the container must reach, beside the interpreter's own.
    """

    name: str
    python: str | None = None
    binary: str | None = None
    warm: tuple[str, ...] = ()
    user: int = 0
    env: Mapping[str, str] = field(default_factory=dict)
    paths: tuple[str, ...] = ()


HOST = Image("meshtest/host")


def parse(name: str, data: Mapping[str, object]) -> Image:
    """The Image that an entry point's plain dict describes. ValueError names a key that is wrong."""
    known = {"python": str, "binary": str, "warm": (list, tuple), "user": int, "env": dict, "paths": (list, tuple)}
    for key, value in data.items():
        if key not in known:
            raise ValueError(f"image {name}: unknown key {key!r}, expected one of {', '.join(known)}")
        if not isinstance(value, known[key]):  # type: ignore[arg-type]
            raise ValueError(f"image {name}: {key} is {type(value).__name__}, expected {known[key]}")
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    return Image(name, **fields)  # type: ignore[arg-type]


def short_name(reference: str) -> str:
    """``docker.io/meshtest/echo:1.2`` and ``meshtest/echo@sha256:…`` -> ``meshtest/echo``."""
    reference = reference.split("@", 1)[0]
    head, _, last = reference.rpartition("/")
    last = last.split(":", 1)[0]
    parts = [part for part in head.split("/") if part] + [last]
    if len(parts) > 1 and ("." in parts[0] or ":" in parts[0] or parts[0] == "localhost"):
        parts = parts[1:]
    return "/".join(parts)


class Registry:
    """The images of this machine, loaded when first asked for."""

    def __init__(self, points: Iterable[EntryPoint] | None = None) -> None:
        found = entry_points(group=GROUP) if points is None else points
        self._points = {point.name: point for point in found}
        self._images: dict[str, Image] = {HOST.name: HOST}

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted({*self._points, *self._images})

    def resolve(self, reference: str) -> Image:
        """The image that a pod's ``image`` names, whatever registry, tag or digest it is written with."""
        name = short_name(reference)
        image = self._images.get(name)
        if image is None:
            point = self._points.get(name)
            if point is None:
                raise UnknownImage(
                    f'no image "{reference}" on this machine: expected one of {", ".join(self.names())}. '
                    f"Images are Python entry points of the group {GROUP!r}; to run programs of the machine itself, "
                    f'use image "{HOST.name}" with a command'
                )
            try:
                image = parse(name, point.load())
            except Exception as error:
                raise BrokenImage(f"image {name!r}: cannot load {point.value}: {error!r}") from error
            self._images[name] = image
        return image

    def all(self) -> list[Image]:
        """Every image that can be loaded."""
        images = []
        for name in self.names():
            try:
                images.append(self.resolve(name))
            except BrokenImage:
                continue
        return images
