"""Compiles istio_ca.proto; what comes out is committed. `python -m reference.controlplane.ca.regenerate`."""

import sys
from pathlib import Path


def main() -> int:
    """0 when the compiler was content. Needs grpcio-tools, of the `dev` extra."""
    from grpc_tools import protoc  # type: ignore[import-untyped]

    here = Path(__file__).parent
    bundled = Path(protoc.__file__).parent / "_proto"
    out = [f"--python_out={here}", f"--pyi_out={here}"]
    code = int(protoc.main(["protoc", f"-I{here}", f"-I{bundled}", *out, str(here / "istio_ca.proto")]))
    if code == 0:
        stub = here / "istio_ca_pb2.pyi"
        # What protoc writes is not strict: a bare Mapping has parameters of type Any.
        stub.write_text("# ruff: noqa\n" + stub.read_text().replace("_Mapping]", "_Mapping[str, object]]"))
    return code


if __name__ == "__main__":
    sys.exit(main())
