"""From kinds to resources: asks the server what it has and remembers the answers."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from kubeclient.errors import ApiError, KubeError, UnknownKind
from kubeclient.resources import WELL_KNOWN, Obj, Resource

Request = Callable[[str, str], Awaitable[Any]]


def parse_resource_list(api_version: str, answer: Obj) -> list[Resource]:
    """The resources of an APIResourceList, subresources left out."""
    group, _, version = api_version.rpartition("/")
    return [
        Resource(
            entry.get("group") or group,
            entry.get("version") or version,
            entry["name"],
            entry["kind"],
            entry["namespaced"],
        )
        for entry in answer.get("resources") or []
        if "/" not in entry["name"]
    ]


class Discovery:
    """Looks kinds up by apiVersion. A kind that is not known is asked for again each time: its CRD may have come
    meanwhile.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._known: dict[tuple[str, str], Resource] = dict(WELL_KNOWN)

    async def find(self, api_version: str, kind: str) -> Resource:
        """The resource of a kind. Raises UnknownKind when the server has none."""
        if (known := self._known.get((api_version, kind))) is not None:
            return known
        if not api_version or not kind:
            raise KubeError(f"object without apiVersion or kind: apiVersion={api_version!r}, kind={kind!r}")
        there = await self._resources(api_version)
        for resource in there:
            self._known[(api_version, resource.kind)] = resource
        if (known := self._known.get((api_version, kind))) is None:
            kinds = ", ".join(sorted({resource.kind for resource in there}))
            hint = f"hint: it has {kinds}" if kinds else "is its CustomResourceDefinition installed?"
            raise UnknownKind(f"the API server has no kind {kind} in {api_version}; {hint}")
        return known

    async def all(self) -> Sequence[Resource]:
        """Every resource that can be listed, in its group's preferred version; groups that do not answer are
        left out.
        """
        groups = (await self._request("GET", "/apis")).get("groups") or []
        versions = ["v1", *(group["preferredVersion"]["groupVersion"] for group in groups)]
        found: list[Resource] = []
        for api_version in versions:
            found.extend(await self._resources(api_version, listable=True))
        return found

    async def _resources(self, api_version: str, *, listable: bool = False) -> list[Resource]:
        path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            answer: Obj = await self._request("GET", path)
        except ApiError as error:
            if error.code in (403, 404, 503):
                return []
            raise
        if listable:
            entries = [
                entry for entry in answer.get("resources") or [] if {"list", "delete"} <= set(entry.get("verbs") or ())
            ]
            answer = {**answer, "resources": entries}
        return parse_resource_list(api_version, answer)
