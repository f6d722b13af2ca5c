"""The mesh's resources as typed models: parse, validate, and the CRDs generated from the same declarations.

Pure and alone: must not import anything else of `reference`.
"""

from reference.api.crd import crds
from reference.api.destinationrule import DESTINATION_RULE, DestinationRule
from reference.api.errors import FieldError, InvalidConfig
from reference.api.meshconfig import MeshConfig, parse_mesh_config
from reference.api.resource import ResourceType, find, parse, resource_types
from reference.api.virtualservice import VIRTUAL_SERVICE, VirtualService

__all__ = [
    "DESTINATION_RULE",
    "VIRTUAL_SERVICE",
    "DestinationRule",
    "FieldError",
    "InvalidConfig",
    "MeshConfig",
    "ResourceType",
    "VirtualService",
    "crds",
    "find",
    "parse",
    "parse_mesh_config",
    "resource_types",
]
