"""Mesh configuration as the control plane holds it: parsed once, ordered, visible or not, delegates merged.

Pure; must not import `snapshot`, `generate`, `xds` or anything that does I/O.
"""

from reference.controlplane.config.delegate import Rules, merge
from reference.controlplane.config.hosts import matches, resolve, specificity
from reference.controlplane.config.store import Config, ConfigSet, read_configs
from reference.controlplane.config.visibility import is_visible

__all__ = [
    "Config",
    "ConfigSet",
    "Rules",
    "is_visible",
    "matches",
    "merge",
    "read_configs",
    "resolve",
    "specificity",
]
