"""The hooks that a kind may have, and the table of those that do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from meshtest.embedded.apiserver.errors import FieldError
from meshtest.embedded.apiserver.kinds import Kind

from . import config, definitions, events, networking, pods, rbac, services, workloads

Obj = dict[str, Any]


def _nothing(obj: Obj) -> None:
    del obj


def _nothing_of_two(new: Obj, old: Obj) -> None:
    del new, old


def _no_errors(obj: Obj) -> list[FieldError]:
    del obj
    return []


def _no_errors_of_two(new: Obj, old: Obj) -> list[FieldError]:
    del new, old
    return []


@dataclass(frozen=True, slots=True)
class Rules:
    """default: fill in what is left out (create and update). create: initial state. update: before validation of an
    update. validate: of any new state. validate_update: of a change.
    """

    default: Callable[[Obj], None] = _nothing
    create: Callable[[Obj], None] = _nothing
    update: Callable[[Obj, Obj], None] = _nothing_of_two
    validate: Callable[[Obj], list[FieldError]] = _no_errors
    validate_update: Callable[[Obj, Obj], list[FieldError]] = _no_errors_of_two


DEFAULT = Rules()
_TABLE: dict[str, Rules] = {
    "pods": Rules(pods.default, pods.create, pods.update, pods.validate, pods.validate_update),
    "services": Rules(services.default, services.create, services.update, services.validate, services.validate_update),
    "namespaces": Rules(create=config.create_namespace, default=config.default_namespace),
    "secrets": Rules(
        default=config.default_secret, validate=config.validate_secret, validate_update=config.validate_secret_update
    ),
    "configmaps": Rules(validate=config.validate_config_map, validate_update=config.validate_config_map_update),
    "nodes": Rules(default=config.default_node),
    "events": Rules(default=events.default),
    "deployments.apps": Rules(
        default=workloads.default_deployment,
        validate=workloads.validate,
        validate_update=workloads.selector_immutable,
    ),
    "replicasets.apps": Rules(
        default=workloads.default_replica_set,
        validate=workloads.validate,
        validate_update=workloads.selector_immutable,
    ),
    "statefulsets.apps": Rules(
        default=workloads.default_stateful_set,
        validate=workloads.validate,
        validate_update=workloads.selector_immutable,
    ),
    "daemonsets.apps": Rules(
        default=workloads.default_daemon_set, validate=workloads.validate, validate_update=workloads.selector_immutable
    ),
    "jobs.batch": Rules(default=workloads.default_job, create=workloads.create_job, validate=workloads.validate_job),
    "cronjobs.batch": Rules(default=workloads.default_cron_job),
    "endpointslices.discovery.k8s.io": Rules(default=networking.default_slice, validate=networking.validate_slice),
    "endpoints": Rules(default=networking.default_endpoints),
    "ingresses.networking.k8s.io": Rules(default=networking.default_ingress),
    "networkpolicies.networking.k8s.io": Rules(default=networking.default_policy),
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": Rules(
        default=config.default_webhooks, validate=config.validate_webhooks
    ),
    "validatingwebhookconfigurations.admissionregistration.k8s.io": Rules(
        default=config.default_webhooks, validate=config.validate_webhooks
    ),
    "clusterrolebindings.rbac.authorization.k8s.io": Rules(
        default=rbac.default_binding, validate=rbac.validate_binding, validate_update=rbac.validate_binding_update
    ),
    "rolebindings.rbac.authorization.k8s.io": Rules(
        default=rbac.default_binding, validate=rbac.validate_binding, validate_update=rbac.validate_binding_update
    ),
    "customresourcedefinitions.apiextensions.k8s.io": Rules(
        definitions.default, definitions.create, definitions.update, definitions.validate
    ),
    "certificatesigningrequests.certificates.k8s.io": Rules(validate=config.validate_csr),
}


def for_kind(kind: Kind) -> Rules:
    return DEFAULT if kind.custom else _TABLE.get(kind.key, DEFAULT)
