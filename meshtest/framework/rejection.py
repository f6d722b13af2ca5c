"""Expected rejections: what a refused object must be refused for."""

from dataclasses import dataclass

from meshtest.framework.errors import NotRejected


@dataclass(frozen=True, slots=True)
class Rejected:
    """The API server must refuse an object, naming `field` and saying `contains`; both optional."""

    field: str = ""
    contains: str = ""

    def check(self, name: str, message: str | None) -> None:
        """`message` is the refusal's text, None where the object was taken. Errors: NotRejected."""
        if message is None:
            raise NotRejected(f"{name}: expected to be refused{self._for()}, but it was taken")
        for what, text in (("field", self.field), ("text", self.contains)):
            if text and text not in message:
                raise NotRejected(f"{name}: expected to be refused with {what} {text!r}, got: {message}")

    def _for(self) -> str:
        return f" for {self.field}" if self.field else ""


def rejected(field: str = "", *, contains: str = "") -> Rejected:
    """For `config.apply(expect=rejected("spec.http[0].route"))`."""
    return Rejected(field, contains)
