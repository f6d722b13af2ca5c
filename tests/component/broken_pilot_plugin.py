"""A pytest plugin (`-p broken_pilot_plugin`) that has istiod run broken_pilot.py: nothing but another command."""

import sys
from pathlib import Path
from typing import Any

from reference.install import apply, render

PROGRAM = Path(__file__).with_name("broken_pilot.py")


def _rendered(values: Any) -> list[dict[str, Any]]:
    objects = render(values)
    for obj in objects:
        if obj["kind"] == "Deployment":
            obj["spec"]["template"]["spec"]["containers"][0]["command"] = [sys.executable, str(PROGRAM)]
    return objects


vars(apply)["render"] = _rendered
