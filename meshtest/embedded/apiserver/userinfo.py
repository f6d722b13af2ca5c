"""How a user is shown to webhooks and in reviews."""

from __future__ import annotations

from typing import Any

from .call import User

Obj = dict[str, Any]


def user_info(user: User) -> Obj:
    """UserInfo of authentication.k8s.io/v1."""
    out: Obj = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        out["uid"] = user.uid
    if user.extra:
        out["extra"] = {key: list(values) for key, values in user.extra.items()}
    return out
