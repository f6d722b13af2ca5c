"""Drivers of the mesh under test, found by name in the entry-point group `meshtest.meshes`.

A driver implements the protocol `Mesh`. `reference` is the mesh of this repository, `none` no mesh at all.
Must not import meshtest.plugin, meshtest.cli or meshtest.report; only meshtest.mesh.reference may import
reference.install, and nothing else of the reference mesh.
"""

from meshtest.framework.mesh import AccessLogLine, Mesh, ObjectRef, PodRef, Profile, Settled
from meshtest.mesh.registry import driver, names

__all__ = ["AccessLogLine", "Mesh", "ObjectRef", "PodRef", "Profile", "Settled", "driver", "names"]
