"""Labels: the names by which tests are selected. All are registered markers, so an unknown one is an error."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import pytest

from meshtest.framework.errors import AuthorError

T = TypeVar("T", bound=Callable[..., object])
Level = Literal["core", "extended"]

SUITES = {
    "routing": "requests get where config sends them",
    "resiliency": "timeouts, retries, outlier detection, faults",
    "gateway": "ingress and egress gateways",
    "mtls": "mutual TLS and identities",
    "authz": "authorization policies",
    "ambient": "the sidecar-less data plane",
    "vm": "workloads on virtual machines",
    "multicluster": "several clusters, one mesh",
    "telemetry": "access logs, metrics, traces",
}
KINDS = {
    "slow": "takes more than 5 s",
    "destructive": "breaks things that others may use",
    "mesh_wide": "changes what all tests feel, so it runs while no other does",
}
PARAMETRIC = {
    "feature(name, level, dialect)": "the feature that this test is evidence of",
    "requires(*capabilities)": "what the environment or the mesh must be able to do",
    "label(*names)": "further labels",
}


FEATURE_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)+")


def markers(root: Path) -> list[str]:
    """All markers as pytest wants them registered: `name: description`. Each package below `root`/suites is a label."""
    own = {file.parent.name: f"the suite suites/{file.parent.name}" for file in root.glob("suites/*/__init__.py")}
    named = {**own, **SUITES, **KINDS, **PARAMETRIC}
    return [f"{name}: {text}" for name, text in named.items()]


def feature(name: str, level: Level = "core", dialect: str = "istio") -> Callable[[T], T]:
    """Declare which feature a test is evidence of.

    name: dotted and stable, such as `traffic.split.weighted`; level: core or extended; dialect: the API that it speaks.
    Errors: AuthorError for a level that does not exist, or a name that is not two or more lower-case words with dots
    between them (words may have digits and hyphens).
    """
    if level not in ("core", "extended"):
        raise _author_error(f"feature {name!r}: level is {level!r}, expected 'core' or 'extended'")
    if not FEATURE_NAME.fullmatch(name):
        raise _author_error(
            f"feature name {name!r}: expected lower-case dotted words; hint: such as traffic.split.weighted"
        )

    def mark(function: T) -> T:
        marked: T = pytest.mark.feature(name=name, level=level, dialect=dialect)(function)
        return marked

    return mark


def _author_error(what: str) -> AuthorError:
    from meshtest.framework.manifests import author  # brings YAML and templates, which the plugin's start does without

    return AuthorError(f"{author()}: {what}")
