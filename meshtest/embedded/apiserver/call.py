"""Who calls, and what they want besides the object itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .request import WriteOptions

ANONYMOUS = "system:anonymous"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
MASTERS = "system:masters"


@dataclass(frozen=True, slots=True)
class User:
    """An identity: from a client certificate (CN, O) or a token."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_system(self) -> bool:
        """A part of the cluster itself: knows its kinds, and is tracked in managedFields only where others are."""
        return self.name.startswith(("system:kube-controller-manager", "system:node:", "system:apiserver"))


SERVER = User("system:apiserver", (MASTERS, AUTHENTICATED))


@dataclass(slots=True)
class Call:
    """One write as it goes through admission. ``warnings`` are returned as headers; ``applying``: server-side apply has
    done the bookkeeping of managedFields itself.
    """

    user: User
    options: WriteOptions = field(default_factory=WriteOptions)
    user_agent: str = ""
    warnings: list[str] = field(default_factory=list)
    applying: bool = False

    @property
    def manager(self) -> str:
        """The field manager: what the client says it is, or the first word of its user agent."""
        return self.options.field_manager or self.user_agent.split("/", 1)[0][:128] or "unknown"
