"""Installs the reference mesh: values in, manifests out, and both onto a cluster.

`render` is pure. `install` and `uninstall` need a `kubeclient.Client` with the rights of an administrator. The control
plane itself writes the CA bundles, the root certificate's Secret and config maps. Must not import the control plane:
whoever installs the mesh need not load it.
"""

from reference.install.apply import install, uninstall
from reference.install.manifests import render
from reference.install.values import InstallValues

__all__ = ["InstallValues", "install", "render", "uninstall"]
