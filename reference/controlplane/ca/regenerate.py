"""Compiles istio_ca.proto; what comes out is committed. `python -m reference.controlplane.ca.regenerate`."""

import sys
from pathlib import Path


def main() -> int:
    """0 when the compiler was content. Needs grpcio-tools, of the `dev` extra."""
    from grpc_tools import protoc  # type: ignore[import-untyped]

    here = Path(__file__).parent
    bundled = Path(protoc.__file__).parent / "_proto"
    out = [f"--python_out={here}", f"--pyi_out={here}"]
    return int(protoc.main(["protoc", f"-I{here}", f"-I{bundled}", *out, str(here / "istio_ca.proto")]))


if __name__ == "__main__":
    sys.exit(main())
