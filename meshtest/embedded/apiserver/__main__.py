"""An API server on its own: ``python -m meshtest.embedded.apiserver --listen 127.0.0.1:6443 --dir DIR``.

Writes keys and ``admin.kubeconfig`` into DIR and serves until interrupted. No controllers, no nodes.
"""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

from meshtest.embedded import pki
from meshtest.embedded.config import ApiServerConfig

from .main import run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m meshtest.embedded.apiserver", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:0", help="address and port; port 0: any")
    parser.add_argument("--dir", type=Path, required=True, help="where keys and admin.kubeconfig go")
    parser.add_argument("--ready-fd", type=int, default=None)
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")
    listening = socket.create_server((host, int(port)), backlog=1024)
    number = listening.getsockname()[1]
    keys = pki.write_cluster_pki(options.dir / "pki", "standalone", [host])
    kubeconfig = options.dir / "admin.kubeconfig"
    pki.kubeconfig(kubeconfig, f"https://{host}:{number}", keys, "admin")
    print(f"export KUBECONFIG={kubeconfig}", flush=True)
    run(
        ApiServerConfig(
            cluster="standalone",
            sockets=(listening.detach(),),
            pki_dir=keys.directory,
            netns_fd=-1,
            advertise_address=host,
            advertise_port=number,
            ready_fd=options.ready_fd,
        )
    )


if __name__ == "__main__":
    main()
