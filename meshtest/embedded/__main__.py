"""``python -m meshtest.embedded up NAME | down NAME | list``: clusters for whoever works on meshtest itself."""

from __future__ import annotations

import sys
import time

from meshtest.embedded import ClusterSet, ClusterSetSpec, EmbeddedError, cleanup, find


def main(argv: list[str]) -> int:
    """Exit code 0, 1 when the cluster set does not start, 2 for a wrong command."""
    match argv:
        case ["up", name]:
            began = time.monotonic()
            try:
                started = ClusterSet.start(ClusterSetSpec(name), hold=False)
            except EmbeddedError as error:
                print(error, file=sys.stderr)
                return 1
            print(f"export KUBECONFIG={started.kubeconfig()}   # {time.monotonic() - began:.2f} s, {started.phases}")
        case ["down", name]:
            print(", ".join(cleanup(name)) or f"no cluster set {name!r}")
        case ["list"]:
            for found in find():
                print(found.run_id, found.status().get("status"), "alive" if found.alive() else "dead", found.state_dir)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
