"""`python -m benchmarks [NAME…]`: runs the named benchmarks, or all, and prints one JSON object."""

import importlib
import json
import sys

NAMES = ("cold_start", "cluster", "pods", "settled", "calls", "memory")


def main(arguments: list[str]) -> int:
    """Progress goes to standard error, figures to standard output; an unknown name is refused before anything runs."""
    unknown = [name for name in arguments if name not in NAMES]
    if unknown:
        print(f"unknown benchmark {', '.join(unknown)}; there are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    figures: dict[str, float] = {}
    for name in arguments or NAMES:
        print(f"benchmark {name} …", file=sys.stderr, flush=True)
        figures.update(importlib.import_module(f"benchmarks.{name}").measure())
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
