"""`python -m benchmarks [NAME…]`: runs the named benchmarks, or all, and prints one JSON object."""

import argparse
import importlib
import json
import sys

NAMES = ("cold_start", "cluster", "pods", "settled", "calls", "memory")


def main(arguments: list[str]) -> int:
    """Progress goes to standard error, figures to standard output; an unknown name is refused before anything runs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Figures of this machine as JSON.")
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"one of {', '.join(NAMES)}; all when none is named")
    names = parser.parse_args(arguments).names
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        parser.error(f"unknown benchmark {', '.join(unknown)}; there are: {', '.join(NAMES)}")
    figures: dict[str, float] = {}
    for name in names or NAMES:
        print(f"benchmark {name} …", file=sys.stderr, flush=True)
        figures.update(importlib.import_module(f"benchmarks.{name}").measure())
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
