"""Brings manifests onto a cluster and takes them off again."""

import asyncio
from typing import Any

from kubeclient import ApiError, Client, Obj, Resource
from kubeclient.resources import CONFIG_MAPS, SECRETS
from reference.install.manifests import render
from reference.install.values import InstallValues

FIELD_MANAGER = "meshtest-install"
FIRST = ("CustomResourceDefinition", "Namespace")
LAST = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
"""Applied when everything else is there: a webhook that nobody answers refuses what it is asked about."""


async def install(client: Client, values: InstallValues) -> list[Obj]:
    """Applies everything; returns the objects as the API server answered. Does not wait for the control plane."""
    objects = render(values)
    applied: list[Obj] = []
    for stage in (
        [each for each in objects if each["kind"] in FIRST],
        [each for each in objects if each["kind"] not in (*FIRST, *LAST, "Deployment")],
        [each for each in objects if each["kind"] in ("Deployment", *LAST)],
    ):
        applied += await asyncio.gather(*(_apply(client, each) for each in stage))
    return applied


def resource_of(obj: Obj) -> Resource:
    """Where an object of ours lives; saves discovery."""
    group, _, version = obj["apiVersion"].rpartition("/")
    kind = obj["kind"]
    plural = "networkpolicies" if kind == "NetworkPolicy" else f"{kind.lower()}s"
    return Resource(group, version, plural, kind, namespaced="namespace" in obj["metadata"])


async def _apply(client: Client, obj: Obj) -> Obj:
    return await client.apply(obj, resource=resource_of(obj), field_manager=FIELD_MANAGER)


async def uninstall(client: Client, values: InstallValues) -> None:
    """Deletes what `install` made and what the control plane wrote; CRDs go last, and their objects with them."""
    objects = render(values)
    order: list[tuple[Any, ...]] = [LAST, ("Deployment",)]
    rest = tuple({each["kind"] for each in objects} - {*LAST, "Deployment", "CustomResourceDefinition"})
    for kinds in (*order, rest, ("CustomResourceDefinition",)):
        await asyncio.gather(*(_delete(client, each) for each in objects if each["kind"] in kinds))
    for obj in await client.list(CONFIG_MAPS, field_selector="metadata.name=istio-ca-root-cert"):
        metadata = obj["metadata"]
        await _gone(client.delete(CONFIG_MAPS, metadata["name"], metadata["namespace"]))
    await _gone(client.delete(SECRETS, "istio-ca-secret", values.namespace))


async def _delete(client: Client, obj: Obj) -> None:
    metadata = obj["metadata"]
    await _gone(client.delete(resource_of(obj), metadata["name"], metadata.get("namespace"), propagation="Background"))


async def _gone(deletion: Any) -> None:
    try:
        await deletion
    except ApiError as error:
        if not error.is_not_found:
            raise
