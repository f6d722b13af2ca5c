"""Manifests know where they were written, and errors say so."""

from pathlib import Path

import pytest

from meshtest.framework.errors import AuthorError
from meshtest.framework.manifests import Origin, author, parse, read, render

HERE = Origin("suite/test_x.py", 12)
TWO = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
---
# a comment
apiVersion: v1
kind: ConfigMap
metadata:
  name: b
  namespace: other
---
"""


def test_documents_of_a_file_carry_their_lines() -> None:
    first, second = parse(TWO, Origin("x.yaml", 1), in_file=True)
    assert str(first) == "ConfigMap a (x.yaml:1)"
    assert str(second) == "ConfigMap other/b (x.yaml:6)"


def test_inline_documents_carry_the_author_line() -> None:
    assert {str(each.origin) for each in parse(TWO, HERE, in_file=False)} == {"suite/test_x.py:12"}


def test_lists_are_taken_apart() -> None:
    text = "kind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: s}}\n"
    (only,) = parse(text, HERE, in_file=False)
    assert only.obj["kind"] == "Secret"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "test_x.py:12: not YAML"),
        ("just words", "expected a Kubernetes object, got str"),
        ("kind: Pod\nmetadata: {name: a}", "object without apiVersion"),
        ("apiVersion: v1\nmetadata: {name: a}", "object without kind"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {labels: {}}", "Pod without metadata.name"),
    ],
)
def test_bad_documents_name_the_author_line(text: str, message: str) -> None:
    with pytest.raises(AuthorError, match=message.replace(".", r"\.")):
        parse(text, HERE, in_file=False)


class Echo:
    """Renders as an echo does."""

    def __str__(self) -> str:
        return "b.w0-apps.svc.cluster.local"


def test_templates_render_objects_by_their_name() -> None:
    template = (
        "host: {{ host }}\n{% for version, weight in weights.items() %}\n{{ version }}={{ weight }}\n{% endfor %}\n"
    )
    rendered = render(template, {"host": Echo(), "weights": {"v1": 80, "v2": 20}}, HERE)
    assert rendered == "host: b.w0-apps.svc.cluster.local\nv1=80\nv2=20\n"


def test_a_missing_variable_is_an_error_that_lists_what_was_given() -> None:
    with pytest.raises(AuthorError, match=r"test_x.py:12: template line 1: 'wieght' is undefined.*given: host, weight"):
        render("{{ wieght }}", {"weight": 1, "host": "b"}, HERE)


def test_template_syntax_errors_name_the_line() -> None:
    with pytest.raises(AuthorError, match=r"template line 2"):
        render("a\n{% endfor %}", {}, HERE)


def test_the_author_is_the_caller_outside_of_meshtest() -> None:
    origin = author()
    assert origin.file == __file__
    assert origin.line > 0


def test_files_are_beside_the_author(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("x", encoding="utf-8")
    text, path = read("m.yaml", Origin(str(tmp_path / "test_x.py"), 3))
    assert (text, path) == ("x", tmp_path / "m.yaml")
    with pytest.raises(AuthorError, match=r"test_x.py:3: no such file, tried .*n\.yaml"):
        read("n.yaml", Origin(str(tmp_path / "test_x.py"), 3))
