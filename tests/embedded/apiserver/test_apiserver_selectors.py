"""Label and field selectors."""

from typing import Any

import pytest

from meshtest.embedded.apiserver import selectors
from meshtest.embedded.apiserver.errors import StatusError

LABELS = {"app": "web", "tier": "front", "n": "5"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app==web,tier!=back", True),
        ("app in (web, api),tier notin (back)", True),
        ("missing!=x", True),
        ("!missing", True),
        ("app,!tier", False),
        ("app in (api)", False),
        ("n>4", True),
        ("n<4", False),
    ],
)
def test_labels(text: str, matches: bool) -> None:
    assert selectors.matches_labels(selectors.parse_label_selector(text), LABELS) is matches


@pytest.mark.parametrize("text", ["a=b=c", "in (x)", "a in x", "-a", "a,,b", "a in (x", "!"])
def test_bad_label_selectors_are_400(text: str) -> None:
    with pytest.raises(StatusError) as caught:
        selectors.parse_label_selector(text)
    assert caught.value.code == 400


def test_selector_objects() -> None:
    expression = {"key": "tier", "operator": "In", "values": ["front"]}
    found = selectors.from_object({"matchLabels": {"app": "web"}, "matchExpressions": [expression]})
    assert found is not None
    assert selectors.matches_labels(found, LABELS)
    assert selectors.from_object(None) is None
    assert selectors.from_object({}) == ()


def test_fields() -> None:
    pod: dict[str, Any] = {"metadata": {"name": "p"}, "spec": {"nodeName": "n"}, "status": {"phase": "Running"}}

    def matches(text: str) -> bool:
        return selectors.matches_fields(selectors.parse_field_selector(text, "pods"), pod)

    assert matches("spec.nodeName=n,status.phase!=Failed")
    assert not matches("metadata.name=q")
    assert matches("spec.hostNetwork=false")
    with pytest.raises(StatusError, match=r"field label not supported: spec\.foo"):
        matches("spec.foo=x")
