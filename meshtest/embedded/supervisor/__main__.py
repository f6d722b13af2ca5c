"""``python -m meshtest.embedded.supervisor STATE_DIR HOLD_FD``: make the namespaces, fork PID 1, say its pid, leave."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

from meshtest.embedded import linux


def main(argv: list[str]) -> int:
    """The launcher; its child is the supervisor."""
    state, hold = Path(argv[0]), socket.socket(fileno=int(argv[1]))
    hold.set_inheritable(False)
    linux.unshare(linux.CLONE_NEWPID | linux.CLONE_NEWNS)
    go_read, go_write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        os.close(go_write)
        os.read(go_read, 1)  # the pid is on record before anything can happen
        os.close(go_read)
        from meshtest.embedded.supervisor import init

        code = 1
        try:
            code = init.main(state, hold)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    hold.sendall(json.dumps({"pid": pid}).encode() + b"\n")
    (state / "supervisor.pid").write_text(str(pid))
    os.write(go_write, b"g")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
