"""What a container is told: environment, arguments, user, and the files of its root that the pod decides.

Pure functions of the pod, the config maps and secrets it names, and its addresses. ConfigError is what Kubernetes
shows as CreateContainerConfigError.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from meshtest.embedded.images.protocol import Mount, Process
from meshtest.embedded.images.registry import Image
from meshtest.embedded.node.states import Obj, all_containers

# (namespace, name) -> the config map or secret, or None
Lookup = Callable[[str, str], Obj | None]


class ConfigError(Exception):
    """The container cannot be configured as its pod asks; the message names what is missing."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a node knows that a pod may ask for."""

    node: str
    node_ip: str
    pod_ip: str
    config_map: Lookup
    secret: Lookup
    service_env: Mapping[str, str]
    dns_ip: str
    dns_domain: str


_REFERENCE = re.compile(r"\$\$|\$\(([-._a-zA-Z0-9]+)\)")
_SUFFIX = {
    "m": Decimal("0.001"), "k": Decimal(1000), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
}  # fmt: skip


def expand(text: str, variables: Mapping[str, str]) -> str:
    """``$(NAME)`` replaced where NAME is known, left alone where not; ``$$`` is a dollar sign."""

    def replacement(match: re.Match[str]) -> str:
        if match.group(0) == "$$":
            return "$"
        return variables.get(match.group(1), match.group(0))

    return _REFERENCE.sub(replacement, text)


def quantity(text: str) -> Decimal:
    """A Kubernetes quantity as a number."""
    for suffix in sorted(_SUFFIX, key=len, reverse=True):
        if text.endswith(suffix):
            return Decimal(text.removesuffix(suffix)) * _SUFFIX[suffix]
    return Decimal(text)


def _keyed(path: str, field: str) -> str | None:
    match = re.fullmatch(rf"metadata\.{field}\['(.+)'\]", path)
    return match.group(1) if match else None


def quoted_map(values: Mapping[str, str]) -> str:
    """Labels or annotations as the downward API writes them to a file: ``key="value"`` lines, sorted."""
    escaped = {
        key: str(value).replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"') for key, value in values.items()
    }
    return "\n".join(f'{key}="{escaped[key]}"' for key in sorted(escaped))


def field_value(pod: Obj, path: str, facts: Facts) -> str:
    """A fieldRef's value. ConfigError for a path that the downward API does not have."""
    metadata, spec = pod["metadata"], pod["spec"]
    for field in ("labels", "annotations"):
        key = _keyed(path, field)
        if key is not None:
            return str((metadata.get(field) or {}).get(key, ""))
    values: dict[str, Callable[[], str]] = {
        "metadata.name": lambda: metadata["name"],
        "metadata.namespace": lambda: metadata.get("namespace", "default"),
        "metadata.uid": lambda: metadata["uid"],
        "metadata.labels": lambda: quoted_map(metadata.get("labels") or {}),
        "metadata.annotations": lambda: quoted_map(metadata.get("annotations") or {}),
        "spec.nodeName": lambda: facts.node,
        "spec.serviceAccountName": lambda: spec.get("serviceAccountName") or "default",
        "status.podIP": lambda: facts.pod_ip,
        "status.podIPs": lambda: facts.pod_ip,
        "status.hostIP": lambda: facts.node_ip,
        "status.hostIPs": lambda: facts.node_ip,
    }
    if path not in values:
        raise ConfigError(f"fieldRef {path!r}: expected one of {', '.join(values)}")
    return values[path]()


NODE_ALLOCATABLE = {"cpu": "2", "memory": "4Gi", "ephemeral-storage": "10Gi"}


def resource_value(pod: Obj, container: Obj, reference: Obj) -> str:
    """A resourceFieldRef's value: a limit falls back to what the node has, a request to nothing."""
    name = reference.get("containerName") or container["name"]
    owner = next((c for c in all_containers(pod) if c["name"] == name), container)
    kind, _, resource = str(reference["resource"]).partition(".")
    text = ((owner.get("resources") or {}).get(kind) or {}).get(resource)
    if text is None:
        text = NODE_ALLOCATABLE.get(resource, "0") if kind == "limits" else "0"
    divisor = quantity(str(reference.get("divisor") or "1")) or Decimal(1)
    return str(math.ceil(quantity(str(text)) / divisor))


def _key_value(kind: str, lookup: Lookup, namespace: str, reference: Obj) -> str | None:
    name, key = reference.get("name", ""), reference["key"]
    found = lookup(namespace, name)
    if found is None:
        if reference.get("optional"):
            return None
        raise ConfigError(f'{kind} "{name}" not found')
    value = decoded(found, kind).get(key)
    if value is None:
        if reference.get("optional"):
            return None
        raise ConfigError(f"couldn't find key {key} in {kind} {namespace}/{name}")
    return value.decode(errors="surrogateescape")


def decoded(obj: Obj, kind: str) -> dict[str, bytes]:
    """All entries of a config map or secret as bytes."""
    if kind == "secret":
        return {key: base64.b64decode(value) for key, value in (obj.get("data") or {}).items()}
    plain = {key: str(value).encode() for key, value in (obj.get("data") or {}).items()}
    return {**plain, **{key: base64.b64decode(value) for key, value in (obj.get("binaryData") or {}).items()}}


def environment(pod: Obj, container: Obj, image: Image, facts: Facts) -> dict[str, str]:
    """The container's environment, in Kubernetes' order of precedence."""
    namespace = pod["metadata"].get("namespace", "default")
    env: dict[str, str] = {**image.env, **facts.service_env, "HOSTNAME": hostname(pod)}
    for source in container.get("envFrom") or ():
        for kind, lookup, key in (
            ("configmap", facts.config_map, "configMapRef"),
            ("secret", facts.secret, "secretRef"),
        ):
            reference = source.get(key)
            if reference is None:
                continue
            found = lookup(namespace, reference.get("name", ""))
            if found is None and not reference.get("optional"):
                raise ConfigError(f'{kind} "{reference.get("name", "")}" not found')
            if found is not None:
                prefix = source.get("prefix") or ""
                env.update({prefix + k: v.decode(errors="surrogateescape") for k, v in decoded(found, kind).items()})
    for entry in container.get("env") or ():
        value = _entry(pod, container, entry, namespace, facts, env)
        if value is not None:
            env[entry["name"]] = value
    return env


def _entry(pod: Obj, container: Obj, entry: Obj, namespace: str, facts: Facts, env: Mapping[str, str]) -> str | None:
    source = entry.get("valueFrom")
    if not source:
        return expand(str(entry.get("value") or ""), env)
    if "fieldRef" in source:
        return field_value(pod, source["fieldRef"]["fieldPath"], facts)
    if "resourceFieldRef" in source:
        return resource_value(pod, container, source["resourceFieldRef"])
    if "configMapKeyRef" in source:
        return _key_value("configmap", facts.config_map, namespace, source["configMapKeyRef"])
    if "secretKeyRef" in source:
        return _key_value("secret", facts.secret, namespace, source["secretKeyRef"])
    raise ConfigError(f"env {entry['name']}: unknown source {', '.join(source)}")


def hostname(pod: Obj) -> str:
    """The pod's host name: spec.hostname, else its name, at most 63 characters."""
    return str(pod["spec"].get("hostname") or pod["metadata"]["name"])[:63].rstrip("-.")


def process(pod: Obj, container: Obj, image: Image, env: Mapping[str, str]) -> Process:
    """Program, user and rights of a container. ConfigError when runAsNonRoot is violated."""
    pod_context = pod["spec"].get("securityContext") or {}
    context = {**pod_context, **(container.get("securityContext") or {})}
    uid = int(context.get("runAsUser", image.user))
    gid = int(context.get("runAsGroup", uid if uid != 0 else 0))
    if context.get("runAsNonRoot") and uid == 0:
        raise ConfigError(f"container {container['name']} has runAsNonRoot and image {image.name} will run as root")
    groups = [int(group) for group in pod_context.get("supplementalGroups") or ()]
    if "fsGroup" in pod_context:
        groups.append(int(pod_context["fsGroup"]))
    capabilities = context.get("capabilities") or {}
    command = [expand(part, env) for part in container.get("command") or ()]
    arguments = [expand(part, env) for part in container.get("args") or ()]
    if not command and image.binary:
        command = [image.binary]
    return Process(
        argv=tuple(command + arguments),
        env={"HOME": "/root" if uid == 0 else "/", **env},
        cwd=container.get("workingDir") or "/",
        uid=uid,
        gid=gid,
        groups=tuple(groups),
        capabilities_add=tuple(capabilities.get("add") or ()),
        capabilities_drop=tuple(capabilities.get("drop") or ()),
        privileged=bool(context.get("privileged")),
        no_new_privileges=context.get("allowPrivilegeEscalation") is False,
        tty=bool(container.get("tty")),
    )


def root_files(pod: Obj, facts: Facts) -> dict[str, str]:
    """/etc/hostname, /etc/hosts and /etc/resolv.conf."""
    spec = pod["spec"]
    name = hostname(pod)
    namespace = pod["metadata"].get("namespace", "default")
    hosts = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
    names = name
    if spec.get("subdomain"):
        names = f"{name}.{spec['subdomain']}.{namespace}.svc.{facts.dns_domain}\t{name}"
    hosts.append(f"{facts.pod_ip}\t{names}")
    for alias in spec.get("hostAliases") or ():
        hosts.append(f"{alias['ip']}\t{' '.join(alias.get('hostnames') or ())}")
    return {
        "/etc/hostname": name + "\n",
        "/etc/hosts": "\n".join(hosts) + "\n",
        "/etc/resolv.conf": resolv_conf(spec, namespace, facts),
    }


def resolv_conf(spec: Obj, namespace: str, facts: Facts) -> str:
    """The resolver's configuration: the cluster's DNS unless dnsPolicy is None, plus dnsConfig."""
    servers, searches, options = [], [], []
    if spec.get("dnsPolicy") != "None":
        servers = [facts.dns_ip]
        searches = [f"{namespace}.svc.{facts.dns_domain}", f"svc.{facts.dns_domain}", facts.dns_domain]
        options = ["ndots:5"]
    config = spec.get("dnsConfig") or {}
    servers += config.get("nameservers") or []
    searches += config.get("searches") or []
    for option in config.get("options") or ():
        own = f"{option['name']}:{option['value']}" if option.get("value") else option["name"]
        options = [o for o in options if o.split(":")[0] != option["name"]] + [own]
    lines = [f"search {' '.join(searches)}"] if searches else []
    lines += [f"nameserver {server}" for server in servers]
    lines += [f"options {' '.join(options)}"] if options else []
    return "\n".join(lines) + "\n"


def mounts(container: Obj, sources: Mapping[str, str], env: Mapping[str, str]) -> tuple[Mount, ...]:
    """The container's volume mounts. sources: volume name -> directory (or file) of the host."""
    result = []
    for mount in container.get("volumeMounts") or ():
        source = sources.get(mount["name"])
        if source is None:
            raise ConfigError(f"volumeMount {mount['name']!r}: the pod has no such volume")
        sub = mount.get("subPath") or expand(mount.get("subPathExpr") or "", env)
        if ".." in sub.split("/"):
            raise ConfigError(f"volumeMount {mount['name']!r}: subPath must not contain '..'")
        path = f"{source}/{sub}" if sub else source
        result.append(Mount(path, mount["mountPath"], bool(mount.get("readOnly"))))
    # outer before inner, or the outer mount would hide the inner
    return tuple(sorted(result, key=lambda m: m.target.rstrip("/").count("/")))
