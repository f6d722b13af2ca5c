"""``kubectl --as``: acting as somebody else, for those who may.

https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
"""

from __future__ import annotations

from multidict import CIMultiDictProxy

from .call import ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, User
from .errors import forbidden
from .rbac import Question, Rbac, refusal


def impersonated(rbac: Rbac, user: User, headers: CIMultiDictProxy[str]) -> User:
    """The user that the headers name. Raises 403 when ``user`` may not act as them."""
    name = headers["Impersonate-User"]
    groups = tuple(headers.getall("Impersonate-Group", []))
    if name.startswith("system:serviceaccount:") and name.count(":") == 3:
        _, _, namespace, account = name.split(":")
        _check(rbac, user, Question("impersonate", "", "serviceaccounts", namespace=namespace, name=account))
        groups = groups or ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    else:
        _check(rbac, user, Question("impersonate", "", "users", name=name))
    for group in headers.getall("Impersonate-Group", []):
        _check(rbac, user, Question("impersonate", "", "groups", name=group))
    last = UNAUTHENTICATED if name == ANONYMOUS else AUTHENTICATED
    return User(name, groups if last in groups else (*groups, last))


def _check(rbac: Rbac, user: User, question: Question) -> None:
    if not rbac.allows(user, question):
        raise forbidden(question.group, question.plural, question.name, refusal(user, question))
