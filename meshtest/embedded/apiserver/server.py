"""HTTP: from a request to who asks, whether they may, and which verb answers; errors become Status objects."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from aiohttp import web

from . import paths, verbs
from .answers import status_response
from .authn import NOBODY, Authenticator
from .call import User
from .core import Core
from .errors import StatusError, forbidden, unauthorized
from .impersonate import impersonated
from .rbac import Question, refusal
from .request import Target, parse_path, verb_of

log = logging.getLogger(__name__)
_OPEN = ("/version", "/healthz", "/readyz", "/livez")


class Server:
    """The request handler of the API server."""

    def __init__(self, core: Core, authenticator: Authenticator) -> None:
        self._core = core
        self._authenticator = authenticator
        self._paths = paths.Paths(core)
        self._verbs = verbs.Verbs(core)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except StatusError as error:
            return status_response(error)
        except web.HTTPRequestEntityTooLarge:
            return status_response(
                StatusError(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728")
            )
        except (ConnectionError, web.HTTPException):
            raise
        except Exception as error:
            log.exception("%s %s", request.method, request.path)
            text = f"Internal error occurred: {type(error).__name__}: {error}"
            return status_response(StatusError(500, "InternalError", text))

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        user = self._authenticator.authenticate(request.transport, request.headers.get("Authorization"))
        if (
            user is NOBODY
            and path.rstrip("/") not in _OPEN
            and not path.startswith(("/readyz/", "/livez/", "/healthz/"))
        ):
            raise unauthorized()
        if "Impersonate-User" in request.headers:
            user = impersonated(self._core.rbac, user, request.headers)
        target = parse_path(path)
        query: Mapping[str, str] = request.query
        verb = verb_of(request.method, target, query)
        self._authorize(user, verb, target)
        if target.is_resource:
            return await self._verbs.answer(request, user, verb, target, query)
        return await self._paths.answer(request, user)

    def _authorize(self, user: User, verb: str, target: Target) -> None:
        if target.is_resource:
            question = Question(verb, target.group, target.plural, target.subresource, target.namespace, target.name)
        else:
            question = Question(verb, path=target.path)
        if self._core.rbac.allows(user, question):
            return
        text = refusal(user, question)
        if target.is_resource:
            raise forbidden(target.group, target.plural, target.name, text)
        raise StatusError(403, "Forbidden", f"forbidden: {text}")
