"""Environment variables that tell a container of Services (enableServiceLinks), in Kubernetes' and in Docker's form."""

from __future__ import annotations

from collections.abc import Iterable

from meshtest.embedded.node.states import Obj


def _upper(name: str) -> str:
    return name.upper().replace("-", "_").replace(".", "_")


def links(services: Iterable[Obj]) -> dict[str, str]:
    """The variables of these Services; one without cluster IP or ports has none."""
    env: dict[str, str] = {}
    for service in services:
        address = service["spec"].get("clusterIP")
        ports = service["spec"].get("ports") or ()
        if not address or address == "None" or not ports:
            continue
        name = _upper(service["metadata"]["name"])
        first = ports[0]
        env[f"{name}_SERVICE_HOST"] = address
        env[f"{name}_SERVICE_PORT"] = str(first["port"])
        env[f"{name}_PORT"] = f"{str(first.get('protocol') or 'TCP').lower()}://{address}:{first['port']}"
        for port in ports:
            if port.get("name"):
                env[f"{name}_SERVICE_PORT_{_upper(port['name'])}"] = str(port["port"])
            protocol = str(port.get("protocol") or "TCP")
            prefix = f"{name}_PORT_{port['port']}_{protocol}"
            env[prefix] = f"{protocol.lower()}://{address}:{port['port']}"
            env[f"{prefix}_PROTO"] = protocol.lower()
            env[f"{prefix}_PORT"] = str(port["port"])
            env[f"{prefix}_ADDR"] = address
    return env


def kubernetes(address: str) -> Obj:
    """The Service of the API server, which every container is told of whether or not it wants links."""
    ports = [{"name": "https", "port": 443, "protocol": "TCP"}]
    return {"metadata": {"name": "kubernetes"}, "spec": {"clusterIP": address, "ports": ports}}
