"""A call that nobody looks at sends nothing and so proves nothing: its test fails, at the author's line."""

from typing import Any, cast

import pytest

from meshtest.echo.call import Call, Plan
from meshtest.framework import unsent
from meshtest.framework.errors import AuthorError
from meshtest.framework.unsent import none_unsent


class Source:
    name = "a"

    def ask(self, spec: object, deadline: float) -> list[dict[str, Any]]:
        raise ConnectionError(f"{spec} {deadline}")


def call() -> Call:
    return Call(cast(Any, Source()), Plan("http", "nowhere", 80, "/", "GET", (), 8, 1.0, {}), None, None)


def test_a_call_never_looked_at_is_the_authors_error() -> None:
    with (
        pytest.raises(
            AuthorError,
            match=r"test_echo_unsent\.py:\d+: a → nowhere: GET http://nowhere:80/: call never sent; hint: \.check\(",
        ),
        none_unsent(),
    ):
        call()


def test_a_call_that_was_looked_at_is_not_even_when_that_failed() -> None:
    with none_unsent():
        made = call()
        with pytest.raises(ConnectionError):
            made.check()


def test_a_body_that_failed_says_why_itself() -> None:
    with pytest.raises(ZeroDivisionError), none_unsent():
        call()
        raise ZeroDivisionError


def test_what_was_made_outside_of_a_body_is_nobodys_and_bodies_do_not_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsent, "_made", None)  # as in a fixture
    call()
    with pytest.raises(AuthorError), none_unsent():
        call()
    with none_unsent():
        pass
