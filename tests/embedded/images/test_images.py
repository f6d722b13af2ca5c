"""Image names, and what a container's root is made of."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from meshtest.embedded.images import container, protocol, registry, rootfs
from meshtest.embedded.linux import CAPABILITIES

IMAGE = {"python": "json:loads", "warm": ["json"], "user": 1337}


def test_names_match_without_registry_tag_and_digest() -> None:
    for reference in ("meshtest/echo", "docker.io/meshtest/echo:1.2", "localhost:5000/meshtest/echo@sha256:ab"):
        assert registry.short_name(reference) == "meshtest/echo"
    assert registry.short_name("busybox:latest") == "busybox"


def test_an_unknown_image_says_what_there_is() -> None:
    images = registry.Registry([])
    with pytest.raises(registry.UnknownImage, match=r'no image "nginx:1".*meshtest/host.*with a command'):
        images.resolve("nginx:1")
    assert images.resolve("docker.io/meshtest/host") is registry.HOST


def test_images_come_from_entry_points() -> None:
    point = EntryPoint("meshtest/x", f"{__name__}:IMAGE", registry.GROUP)
    images = registry.Registry([point])
    with pytest.raises(registry.BrokenImage):
        registry.Registry([EntryPoint("meshtest/x", "no.such:IMAGE", registry.GROUP)]).resolve("meshtest/x")
    assert images.names() == ["meshtest/host", "meshtest/x"]


def test_a_definition_is_checked() -> None:
    image = registry.parse("x", IMAGE)
    assert (image.python, image.warm, image.user) == ("json:loads", ("json",), 1337)
    with pytest.raises(ValueError, match="unknown key 'pyton'"):
        registry.parse("x", {"pyton": "a:b"})
    with pytest.raises(ValueError, match="user is str"):
        registry.parse("x", {"user": "root"})


def plan(
    needed: list[str],
    private: set[str] | None = None,
    links: dict[str, str] | None = None,
    mounts: tuple[str, ...] = (),
) -> rootfs.RootPlan:
    return rootfs.plan_root(
        needed,
        traversable=lambda path: path not in (private or set()),
        readlink=lambda path: (links or {}).get(path),
        mounts=mounts,
    )


def test_what_everybody_reaches_needs_nothing() -> None:
    assert plan(["/usr/lib/python3", "/work/venv"]) == rootfs.RootPlan(tuple(sorted(rootfs.COVERED)), (), (), ())


def test_a_private_home_is_covered_and_what_is_needed_bound_back() -> None:
    result = plan(["/root/.pyenv/3.11", "/root/.pyenv/3.11/bin/python"], private={"/root"})
    assert "/root" in result.covers
    assert result.binds == ("/root/.pyenv/3.11",)
    assert result.opened == ()


def test_symbolic_links_below_a_covered_directory_are_made_again() -> None:
    result = plan(["/root/v/bin/python"], private={"/root"}, links={"/root/v": "/root/versions/3"})
    assert result.binds == ("/root/versions/3/bin/python",)
    assert result.links == (("/root/v", "/root/versions/3"),)


def test_a_needed_directory_that_is_private_itself_is_opened() -> None:
    result = plan(["/home/me/venv"], private={"/home/me", "/home/me/venv"})
    assert "/home/me" in result.covers and result.opened == ("/home/me/venv",)


def test_a_checkout_in_tmp_and_mounts_of_their_own_are_bound() -> None:
    result = plan(["/tmp/clone/meshtest", "/data/venv"], mounts=("/", "/data", "/usr", "/proc"))
    assert result.binds == ("/data/venv", "/tmp/clone/meshtest", "/usr")


def test_links_are_followed_as_the_kernel_does() -> None:
    links = {"/a": "b/c", "/b/c": "../d", "/e": "/a/x"}
    assert rootfs.follow("/e/f", links.get)[0] == "/d/x/f"
    with pytest.raises(OSError, match="too many symbolic links"):
        rootfs.follow("/l", {"/l": "l"}.get)


def test_targets_resolve_inside_the_root(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "run").symlink_to("/run")
    assert rootfs.resolve_in(str(tmp_path), "/var/run/secrets") == f"{tmp_path}/run/secrets"
    assert rootfs.resolve_in(str(tmp_path), "/../../etc") == f"{tmp_path}/etc"


def process(**values: object) -> protocol.Process:
    return protocol.Process(("x",), {}, **values)  # type: ignore[arg-type]


def test_capabilities() -> None:
    assert CAPABILITIES["NET_ADMIN"] not in container.capabilities(process())
    assert CAPABILITIES["NET_ADMIN"] in container.capabilities(process(capabilities_add=("NET_ADMIN",)))
    only = container.capabilities(process(capabilities_drop=("ALL",), capabilities_add=("CAP_NET_RAW",)))
    assert only == {CAPABILITIES["NET_RAW"]}
    assert len(container.capabilities(process(privileged=True))) == len(CAPABILITIES)
    with pytest.raises(ValueError, match="unknown capability 'NET_ADMN'"):
        container.capabilities(process(capabilities_add=("NET_ADMN",)))


def test_a_container_survives_the_wire() -> None:
    spec = protocol.Container(
        "c", process(groups=(1, 2)), python="a:b", mounts=(protocol.Mount("/a", "/b", True),), files={"/etc/x": "y"}
    )
    ours, theirs = protocol.pair()
    with ours, theirs:
        protocol.send(ours, {"container": protocol.to_json(spec)})
        message, fds = protocol.receive(theirs)
    assert message is not None and fds == []
    assert protocol.container_from(message["container"]) == spec


def test_entry_points_run_like_programs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atexit._run_exitfuncs", lambda: None)
    monkeypatch.setattr("threading._shutdown", lambda: None)
    assert container.call("operator:length_hint", ["a", "b"]) == 2
    assert container.call("sys:exit", ["wrong"]) == 1
    assert container.call("no.such:main", []) == 1
    assert "ModuleNotFoundError" in capsys.readouterr().err
