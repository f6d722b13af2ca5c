"""Manifests: YAML and templates into objects that still know where their author wrote them."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment as JinjaEnvironment
from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError

from meshtest.framework.errors import AuthorError

Obj = dict[str, Any]
_PACKAGE = str(Path(__file__).resolve().parent.parent)
_JINJA = JinjaEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an author wrote something: a file, and the line in it (1-based)."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object to apply and where it comes from."""

    obj: Obj
    origin: Origin

    def __str__(self) -> str:
        meta = self.obj["metadata"]
        where = f"{meta['namespace']}/" if meta.get("namespace") else ""
        return f"{self.obj['kind']} {where}{meta['name']} ({self.origin})"


def author() -> Origin:
    """The nearest caller outside of meshtest: the line that an author has to look at."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        path = frame.f_code.co_filename
        if not path.startswith(_PACKAGE):
            return Origin(path, frame.f_lineno)
        frame = frame.f_back
    return Origin("<unknown>", 0)


def parse(text: str, origin: Origin, *, in_file: bool) -> list[Manifest]:
    """The objects of a YAML stream; empty documents and `List` wrappers are taken apart.

    `in_file` means that lines of `text` are lines of the origin's file, otherwise all objects bear the author's line.
    Errors: AuthorError for bad YAML, or a document without apiVersion, kind or metadata.name.
    """
    manifests: list[Manifest] = []
    try:
        loader = _LOADER(text)
        while loader.check_node():
            node = loader.get_node()
            assert node is not None  # check_node said so
            document = loader.construct_document(node)
            where = Origin(origin.file, node.start_mark.line + 1) if in_file else origin
            for obj in _items(document):
                manifests.append(Manifest(_checked(obj, where), where))
    except yaml.YAMLError as error:
        raise AuthorError(f"{origin}: not YAML: {error}") from error
    return manifests


def render(template: str, variables: Mapping[str, object], origin: Origin, file: Path | None = None) -> str:
    """Expand a Jinja template. Objects render as their str(), which for an echo is its host name.

    origin: the author's line; file: where the template is, if not there.
    Errors: AuthorError with both lines for a variable that is missing (undefined is never empty) or a syntax error.
    """
    try:
        return _JINJA.from_string(template).render(dict(variables))
    except TemplateError as error:
        line = _line_in_template(error)
        at = f"{file}:{line}" if file else f"template line {line}"
        given = ", ".join(sorted(variables)) or "none"
        raise AuthorError(f"{origin}: {at}: {error.message}; variables given: {given}") from error


def _line_in_template(error: TemplateError) -> int:
    """Syntax errors know their line; for others Jinja puts the template itself into the traceback."""
    line = error.lineno if isinstance(error, TemplateSyntaxError) else 1
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def read(path: str | Path, origin: Origin, fallback: Path | None = None) -> tuple[str, Path]:
    """A file beside the author's, or below `fallback`. Errors: AuthorError that names what was tried."""
    bases = [Path(origin.file).parent, *([fallback] if fallback else [])]
    tried = [base / path for base in bases]
    for candidate in tried:
        if candidate.is_file():
            return candidate.read_text(encoding="utf-8"), candidate
    raise AuthorError(f"{origin}: no such file, tried {', '.join(map(str, tried))}")


def _items(document: object) -> list[object]:
    if document is None:
        return []
    if isinstance(document, dict) and document.get("kind") == "List":
        return list(document.get("items") or [])
    return [document]


def _checked(obj: object, origin: Origin) -> Obj:
    if not isinstance(obj, dict):
        raise AuthorError(f"{origin}: expected a Kubernetes object, got {type(obj).__name__} {obj!r:.80}")
    for field in ("apiVersion", "kind", "metadata"):
        if not obj.get(field):
            raise AuthorError(f"{origin}: object without {field}: {obj!r:.200}")
    if not isinstance(obj["metadata"], dict) or not obj["metadata"].get("name"):
        raise AuthorError(f"{origin}: {obj['kind']} without metadata.name")
    return obj
