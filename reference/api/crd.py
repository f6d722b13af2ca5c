"""CustomResourceDefinitions from the registered kinds."""

from reference.api.kinds import Obj
from reference.api.resource import ResourceType, resource_types

_AGE = {
    "name": "Age",
    "type": "date",
    "jsonPath": ".metadata.creationTimestamp",
    "description": "When the object was created",
}


def crds() -> list[Obj]:
    """One CRD per registered kind."""
    return [crd(kind) for kind in resource_types()]


def crd(kind: ResourceType) -> Obj:
    names: Obj = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.kind.lower(),
        "categories": [kind.category, f"{kind.group.partition('.')[0]}-{kind.category}"],
    }
    if kind.short_names:
        names["shortNames"] = list(kind.short_names)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{kind.group}",
            "labels": {"app": "istio-pilot", "chart": "istio", "release": "istio"},
        },
        "spec": {
            "group": kind.group,
            "names": names,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [_version(kind, name, index == 0) for index, name in enumerate(kind.versions)],
        },
    }


def _version(kind: ResourceType, name: str, stored: bool) -> Obj:
    columns: list[Obj] = []
    for column in kind.columns:
        entry: Obj = {"name": column.name, "type": column.type, "jsonPath": column.json_path}
        if column.description:
            entry["description"] = column.description
        columns.append(entry)
    return {
        "name": name,
        "served": True,
        "storage": stored,
        "additionalPrinterColumns": [*columns, dict(_AGE)],
        "subresources": {"status": {}},
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "required": ["spec"],
                "properties": {
                    "spec": kind.model.schema(),
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            }
        },
    }
