"""Leases: many tests that mind their lane, or one that changes what all feel."""

import threading


class Leases:
    """A readers-writer lock whose holders are names, so that a dead one can be let go. Writers go first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers: set[str] = set()
        self._writer: str | None = None
        self._waiting_writers = 0
        self._gone: set[str] = set()

    def acquire(self, holder: str, *, exclusive: bool) -> bool:
        """Wait until it is this holder's turn; False when it was dropped meanwhile. One lease a holder.

        Errors: RuntimeError when the holder has one already, as waiting for itself would never end.
        """
        with self._changed:
            if holder == self._writer or holder in self._readers:
                raise RuntimeError(f"{holder} holds a lease already")
            if exclusive:
                self._waiting_writers += 1
            try:
                self._changed.wait_for(lambda: holder in self._gone or self._free(exclusive))
            finally:
                if exclusive:
                    self._waiting_writers -= 1
                    self._changed.notify_all()
            if holder in self._gone:
                return False
            if exclusive:
                self._writer = holder
            else:
                self._readers.add(holder)
            return True

    def release(self, holder: str) -> None:
        """Let go of the holder's lease, if it has one."""
        with self._changed:
            if self._writer == holder:
                self._writer = None
            self._readers.discard(holder)
            self._changed.notify_all()

    def drop(self, holder: str) -> None:
        """The holder is gone for good: release what it has, end its waiting."""
        with self._changed:
            self._gone.add(holder)
        self.release(holder)

    def _free(self, exclusive: bool) -> bool:
        if self._writer is not None:
            return False
        return not self._readers if exclusive else not self._waiting_writers
