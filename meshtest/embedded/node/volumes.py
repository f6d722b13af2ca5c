"""Volumes: what their files contain (pure), and how they get to disk so that readers never see half an update."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from meshtest.embedded import linux
from meshtest.embedded.node.environment import ConfigError, Facts, Lookup, decoded, field_value, resource_value
from meshtest.embedded.node.states import Obj

DEFAULT_MODE = 0o644
DEFAULT_TOKEN_SECONDS = 3600


class VolumeMissing(Exception):
    """A volume cannot be made yet; the message says what it waits for."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a volume."""

    content: bytes
    mode: int = DEFAULT_MODE


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A service-account token that a volume wants."""

    audience: str
    seconds: int


def projected_sources(volume: Obj) -> list[Obj]:
    """The sources of a volume whose content comes from the API; empty for other kinds of volume."""
    if "projected" in volume:
        return list(volume["projected"].get("sources") or ())
    for kind in ("configMap", "secret", "downwardAPI"):
        if kind in volume:
            source = dict(volume[kind] or {})
            if kind == "secret":
                source["name"] = source.get("secretName", "")
            return [{kind: source}]
    return []


def token_requests(pod: Obj) -> set[TokenRequest]:
    """All tokens that the pod's volumes want."""
    return {
        _token_request(source["serviceAccountToken"])
        for volume in pod["spec"].get("volumes") or ()
        for source in projected_sources(volume)
        if "serviceAccountToken" in source
    }


def _token_request(source: Obj) -> TokenRequest:
    return TokenRequest(source.get("audience") or "", int(source.get("expirationSeconds") or DEFAULT_TOKEN_SECONDS))


def _default_mode(volume: Obj) -> int:
    for kind in ("projected", "configMap", "secret", "downwardAPI"):
        if kind in volume:
            mode = (volume[kind] or {}).get("defaultMode")
            return DEFAULT_MODE if mode is None else int(mode)
    return DEFAULT_MODE


def content(volume: Obj, pod: Obj, facts: Facts, tokens: Mapping[TokenRequest, str]) -> dict[str, File]:
    """The files of a config map, secret, downward API or projected volume, by relative path.

    VolumeMissing when something that is not optional does not exist.
    """
    mode = _default_mode(volume)
    files: dict[str, File] = {}
    for source in projected_sources(volume):
        if "serviceAccountToken" in source:
            token = source["serviceAccountToken"]
            files[token["path"]] = File(tokens[_token_request(token)].encode(), mode)
        elif "configMap" in source:
            files.update(_entries("configmap", source["configMap"], pod, facts.config_map, mode))
        elif "secret" in source:
            files.update(_entries("secret", source["secret"], pod, facts.secret, mode))
        elif "downwardAPI" in source:
            files.update(_downward(source["downwardAPI"], pod, facts, mode))
        else:
            raise VolumeMissing(f"volume {volume['name']!r}: projected source {', '.join(source)} is not supported")
    return files


def _entries(kind: str, source: Obj, pod: Obj, lookup: Lookup, mode: int) -> Iterator[tuple[str, File]]:
    namespace = pod["metadata"].get("namespace", "default")
    name = source.get("name", "")
    found = lookup(namespace, name)
    if found is None:
        if source.get("optional"):
            return
        raise VolumeMissing(f'{kind} "{name}" not found')
    data = decoded(found, kind)
    items = source.get("items")
    if not items:
        yield from ((key, File(value, mode)) for key, value in data.items())
        return
    for item in items:
        if item["key"] in data:
            yield item["path"], File(data[item["key"]], int(item["mode"]) if item.get("mode") is not None else mode)
        elif not source.get("optional"):
            raise VolumeMissing(f"references non-existent {kind} key: {item['key']} of {namespace}/{name}")


def _downward(source: Obj, pod: Obj, facts: Facts, mode: int) -> Iterator[tuple[str, File]]:
    for item in source.get("items") or ():
        try:
            if "fieldRef" in item:
                value = field_value(pod, item["fieldRef"]["fieldPath"], facts)
            else:
                value = resource_value(pod, {"name": ""}, item["resourceFieldRef"])
        except ConfigError as error:
            raise VolumeMissing(str(error)) from error
        yield item["path"], File(value.encode(), int(item["mode"]) if item.get("mode") is not None else mode)


def is_live(volume: Obj) -> bool:
    """Whether the volume's files follow changes of what they come from."""
    return bool(projected_sources(volume))


def write_files(directory: Path, files: Mapping[str, File], group: int | None = None) -> bool:
    """Make the directory show these files, all at once; False when it did already.

    Kubernetes' layout: the files lie in a directory of their own, ``..data`` is a symbolic link to it that is
    replaced by one rename, and the visible names are links through ``..data``.
    """
    data = directory / "..data"
    if data.exists() and _current(data) == {path: file.content for path, file in files.items()}:
        return False
    fresh = directory / f"..{time.strftime('%Y_%m_%d_%H_%M_%S')}.{time.monotonic_ns()}"
    fresh.mkdir(mode=0o755)
    for path, file in files.items():
        target = fresh / path
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        target.write_bytes(file.content)
        target.chmod(file.mode | (0o440 if group is not None else 0))
        if group is not None:
            os.chown(target, -1, group)
    old = data.resolve() if data.is_symlink() else None
    link = directory / "..data_tmp"
    with suppress(FileNotFoundError):
        link.unlink()
    link.symlink_to(fresh.name)
    link.rename(data)
    tops = {path.split("/")[0] for path in files}
    for top in tops:
        if not (directory / top).is_symlink():
            (directory / top).symlink_to(f"..data/{top}")
    for entry in directory.iterdir():
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in tops:
            entry.unlink()
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
    return True


def _current(data: Path) -> dict[str, bytes]:
    root = data.resolve()
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def make_source(volume: Obj, directory: Path, group: int | None) -> str:
    """The host path that a volume is mounted from; made if need be. VolumeMissing for kinds that this node has not."""
    if "hostPath" in volume:
        return _host_path(volume)
    if "emptyDir" in volume or is_live(volume):
        if not directory.exists():
            directory.mkdir(parents=True)
            if (volume.get("emptyDir") or {}).get("medium") == "Memory":
                linux.mount("tmpfs", str(directory), "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=777")
            if "emptyDir" in volume:
                directory.chmod(0o777 if group is None else 0o2777)
                if group is not None:
                    os.chown(directory, -1, group)
            else:
                directory.chmod(0o755)
        return str(directory)
    kinds = ", ".join(key for key in volume if key != "name")
    raise VolumeMissing(
        f"volume {volume['name']!r} of kind {kinds} is not supported by embedded nodes: expected emptyDir, "
        "configMap, secret, projected, downwardAPI or hostPath"
    )


def _host_path(volume: Obj) -> str:
    source = volume["hostPath"]
    path, kind = Path(source["path"]), source.get("type") or ""
    if kind == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True)
    elif kind == "FileOrCreate":
        path.touch(exist_ok=True)
    checks = {"Directory": path.is_dir, "File": path.is_file, "Socket": path.is_socket}
    if kind in checks and not checks[kind]():
        raise VolumeMissing(f"hostPath {path} is not a {kind.lower()}")
    if not kind and not path.exists():
        path.mkdir(parents=True)
    return str(path)


def remove(directory: Path) -> None:
    """Delete a pod's directory, with what is mounted in it."""
    for volume in (directory / "volumes").glob("*"):
        if volume.is_mount():
            with suppress(OSError):
                linux.umount(str(volume))
    shutil.rmtree(directory, ignore_errors=True)
