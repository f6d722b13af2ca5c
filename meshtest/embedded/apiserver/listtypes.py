"""How lists merge: which are maps by key, which are sets, which are one value (atomic).

`Shape` answers for a path inside an object. For built-in kinds the facts are a table, taken from the
``x-kubernetes-list-type`` and ``x-kubernetes-patch-merge-key`` of the published OpenAPI; for custom resources they are
read from the CRD's schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Obj = dict[str, Any]
ATOMIC = "atomic"
SET = "set"
MAP = "map"
GRANULAR = "granular"


@dataclass(frozen=True, slots=True)
class Shape:
    """One place in an object.

    type: for lists ``map`` (``keys`` name the items), ``set`` or ``atomic``; for objects ``granular`` or ``atomic``.
    patch_key: the key that a strategic merge patch uses, where it differs from ``keys``.
    fields, any_field, item: the shapes below, where they are known.
    """

    type: str = ""
    keys: tuple[str, ...] = ()
    defaults: tuple[tuple[str, Any], ...] = ()
    patch_key: str = ""
    fields: dict[str, Shape] = field(default_factory=dict)
    any_field: Shape | None = None
    item: Shape | None = None

    def at(self, name: str) -> Shape:
        return self.fields.get(name) or self.any_field or PLAIN

    @property
    def items(self) -> Shape:
        return self.item or PLAIN


PLAIN = Shape()


def _map(*keys: str, item: Shape | None = None, patch: str = "", **defaults: Any) -> Shape:
    return Shape(MAP, keys, tuple(defaults.items()), patch or keys[0], item=item)


def _obj(**fields: Shape) -> Shape:
    return Shape(GRANULAR, fields=fields)


_SET = Shape(SET)
_ATOMIC = Shape(ATOMIC)
_CONTAINER = _obj(
    ports=_map("containerPort", "protocol", protocol="TCP"),
    env=_map("name"),
    volumeMounts=_map("mountPath"),
    volumeDevices=_map("devicePath"),
    resources=_obj(claims=_map("name")),
)
_POD_SPEC = _obj(
    containers=_map("name", item=_CONTAINER),
    initContainers=_map("name", item=_CONTAINER),
    ephemeralContainers=_map("name", item=_CONTAINER),
    volumes=_map("name"),
    imagePullSecrets=_map("name"),
    hostAliases=_map("ip"),
    topologySpreadConstraints=_map("topologyKey", "whenUnsatisfiable"),
    nodeSelector=_ATOMIC,
    schedulingGates=_map("name"),
    resourceClaims=_map("name"),
    readinessGates=_ATOMIC,
)
METADATA = _obj(
    finalizers=Shape(SET, patch_key="*"),
    ownerReferences=_map("uid"),
)
_CONDITIONS = _obj(conditions=_map("type"))
_TEMPLATE = _obj(metadata=METADATA, spec=_POD_SPEC)
_SELECTOR = _ATOMIC
_WORKLOAD = _obj(template=_TEMPLATE, selector=_SELECTOR, volumeClaimTemplates=_ATOMIC)
_WEBHOOKS = _map("name")
_SPECS: dict[str, dict[str, Shape]] = {
    "Pod": {
        "spec": _POD_SPEC,
        "status": _obj(conditions=_map("type"), podIPs=_map("ip"), hostIPs=_ATOMIC),
    },
    "PodTemplate": {"template": _TEMPLATE},
    "Deployment": {"spec": _WORKLOAD, "status": _CONDITIONS},
    "ReplicaSet": {"spec": _WORKLOAD, "status": _CONDITIONS},
    "StatefulSet": {"spec": _WORKLOAD, "status": _CONDITIONS},
    "DaemonSet": {"spec": _WORKLOAD, "status": _CONDITIONS},
    "Job": {"spec": _WORKLOAD, "status": _obj(conditions=_ATOMIC)},
    "CronJob": {"spec": _obj(jobTemplate=_obj(metadata=METADATA, spec=_WORKLOAD))},
    "ReplicationController": {"spec": _obj(template=_TEMPLATE, selector=_ATOMIC), "status": _CONDITIONS},
    "Service": {
        "spec": _obj(
            ports=_map("port", "protocol", protocol="TCP"),
            selector=_ATOMIC,
            clusterIPs=_ATOMIC,
            ipFamilies=_ATOMIC,
            externalIPs=_ATOMIC,
        ),
        "status": _CONDITIONS,
    },
    "ServiceAccount": {"secrets": _map("name"), "imagePullSecrets": _ATOMIC},
    "Namespace": {"status": _CONDITIONS},
    "Node": {
        "spec": _obj(podCIDRs=Shape(SET, patch_key="*"), taints=_ATOMIC),
        "status": _obj(conditions=_map("type"), addresses=_map("type")),
    },
    "MutatingWebhookConfiguration": {"webhooks": _WEBHOOKS},
    "ValidatingWebhookConfiguration": {"webhooks": _WEBHOOKS},
    "CustomResourceDefinition": {"status": _CONDITIONS},
    "EndpointSlice": {"endpoints": _ATOMIC, "ports": _ATOMIC},
    "PodDisruptionBudget": {"status": _CONDITIONS},
    "CertificateSigningRequest": {"status": _CONDITIONS},
    "ClusterRole": {"rules": _ATOMIC},
    "Role": {"rules": _ATOMIC},
    "ClusterRoleBinding": {"subjects": _ATOMIC, "roleRef": _ATOMIC},
    "RoleBinding": {"subjects": _ATOMIC, "roleRef": _ATOMIC},
}
_SHAPES = {name: Shape(GRANULAR, fields={"metadata": METADATA, **fields}) for name, fields in _SPECS.items()}
_ANY = Shape(GRANULAR, fields={"metadata": METADATA})
_CUSTOM: dict[tuple[str, str], Shape] = {}


def shape_of(api_version: str, kind: str) -> Shape:
    """The shape of a whole object."""
    if found := _CUSTOM.get((api_version, kind)):
        return found
    group = api_version.rpartition("/")[0]
    return _SHAPES.get(kind, _ANY) if "." not in group or group.endswith(".k8s.io") else _ANY


def from_schema(schema: Obj) -> Shape:
    """The shape that a structural schema describes."""
    if "properties" in schema or "additionalProperties" in schema:
        extra = schema.get("additionalProperties")
        return Shape(
            ATOMIC if schema.get("x-kubernetes-map-type") == "atomic" else GRANULAR,
            fields={name: from_schema(each) for name, each in (schema.get("properties") or {}).items()},
            any_field=from_schema(extra) if isinstance(extra, dict) else None,
        )
    if "items" in schema:
        item = from_schema(schema["items"]) if isinstance(schema["items"], dict) else None
        keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
        properties = (schema["items"] or {}).get("properties") or {} if isinstance(schema["items"], dict) else {}
        defaults = tuple((k, properties[k]["default"]) for k in keys if "default" in (properties.get(k) or {}))
        return Shape(schema.get("x-kubernetes-list-type") or ATOMIC, keys, defaults, item=item)
    return PLAIN


def register_custom(api_version: str, kind: str, schema: Obj | None) -> None:
    """Make the shape of a custom resource known; None forgets it."""
    if schema is None:
        _CUSTOM.pop((api_version, kind), None)
        return
    shape = from_schema(schema)
    _CUSTOM[api_version, kind] = Shape(
        GRANULAR, fields={**shape.fields, "metadata": METADATA}, any_field=shape.any_field
    )
