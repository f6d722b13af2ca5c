"""``state.json`` of a cluster set: what others read to find, attach to and clean up a set."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

NAME = "state.json"


class StateFile:
    """Read and update the file in a set's directory; updates are atomic."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME

    def read(self) -> dict[str, Any]:
        """Its content; empty when there is none yet."""
        try:
            data: dict[str, Any] = json.loads(self._path.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return data

    def update(self, **changes: object) -> None:
        """Set some of the keys."""
        data = {**self.read(), **changes}
        temporary = self._path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(data, indent=1))
        temporary.chmod(0o600)
        temporary.replace(self._path)
