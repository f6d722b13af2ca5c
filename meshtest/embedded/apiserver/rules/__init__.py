"""What is particular to each built-in kind: defaults, what a write may change, what is refused.

Pure functions over trees; they know neither the store nor HTTP.
"""

from .base import DEFAULT, Rules, for_kind

__all__ = ["DEFAULT", "Rules", "for_kind"]
