"""Errors, by what a caller can do about them: `ApiError` is the server's answer, `ConnectionFailed` means there was
none.
"""

from collections.abc import Mapping
from typing import Any


class KubeError(Exception):
    """Anything that went wrong between us and an API server."""


class ConnectionFailed(KubeError):
    """No answer came: nothing listens, TLS failed, or the connection broke. Whether a write took effect is unknown."""


class UnknownKind(KubeError):
    """The server has no such kind in that apiVersion; the message tells which it has."""


class ApiError(KubeError):
    """The server refused: HTTP `code`, `reason` and `message` of its Status object, and the `status` itself."""

    def __init__(
        self, code: int, reason: str, message: str, status: Mapping[str, Any] | None = None, call: str = ""
    ) -> None:
        super().__init__(f"{call}: {code} {reason}: {message}" if call else f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.status: dict[str, Any] = dict(status or {})

    @property
    def is_not_found(self) -> bool:
        return self.code == 404

    @property
    def is_conflict(self) -> bool:
        """Another version is stored than the one that was to be changed (not: the name is taken)."""
        return self.code == 409 and self.reason != "AlreadyExists"

    @property
    def is_already_exists(self) -> bool:
        return self.reason == "AlreadyExists"

    @property
    def is_gone(self) -> bool:
        """The resourceVersion asked for is no longer kept: list again."""
        return self.code == 410

    @property
    def is_invalid(self) -> bool:
        return self.code == 422
