"""Tables: what `kubectl get` prints. Columns of built-in kinds are functions over trees; those of custom kinds are
JSONPaths from the CRD.
"""

from .format import TableFormat

__all__ = ["TableFormat"]
