"""Parsing and checks of VirtualService."""

from typing import Any

import pytest

from reference.api import InvalidConfig, VirtualService, parse

Obj = dict[str, Any]
TO_B: Obj = {"destination": {"host": "b"}}


def _parse(spec: Obj, version: str = "v1") -> VirtualService:
    model = parse(
        {
            "apiVersion": f"networking.istio.io/{version}",
            "kind": "VirtualService",
            "metadata": {"namespace": "demo", "name": "x"},
            "spec": spec,
        }
    )
    assert isinstance(model, VirtualService)
    return model


def _http(**route: Any) -> Obj:
    return {"hosts": ["b"], "http": [{"route": [TO_B], **route}]}


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha3"])
def test_every_served_version_parses(version: str) -> None:
    model = _parse(_http(timeout="1m2.5s"), version)
    assert model.http[0].timeout == 62.5
    assert model.http[0].route[0].destination.host == "b"


def test_message_names_path_expected_and_got() -> None:
    with pytest.raises(InvalidConfig) as caught:
        _parse(_http(route=[TO_B, {**TO_B, "weight": -1}]))
    (error,) = caught.value.errors
    assert (error.path, error.expected, error.got) == (
        "spec.http[0].route[1].weight",
        "an integer from 0 to 2147483647",
        "-1",
    )
    assert str(caught.value).startswith("VirtualService demo/x: spec.http[0].route[1].weight: expected")


def test_all_errors_are_named_at_once() -> None:
    with pytest.raises(InvalidConfig) as caught:
        _parse(_http(timeout="soon", retries={"attempts": "3"}))
    assert [error.path for error in caught.value.errors] == ["spec.http[0].timeout", "spec.http[0].retries.attempts"]


def test_unknown_field_gets_a_hint() -> None:
    with pytest.raises(InvalidConfig) as caught:
        _parse({"hosts": ["b"], "http": [{"rout": [TO_B]}]})
    assert any(error.hint == "did you mean route?" for error in caught.value.errors)


MATCH = "spec.http[0].match[0]"


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"hosts": ["b"]}, "spec"),
        ({"hosts": ["b", "b"], "http": [{"route": [TO_B]}]}, "spec.hosts[1]"),
        ({"hosts": ["*"], "http": [{"route": [TO_B]}]}, "spec.hosts[0]"),
        ({"hosts": ["a.*.b"], "http": [{"route": [TO_B]}]}, "spec.hosts[0]"),
        ({"hosts": ["b"], "gateways": ["a/b/c d"], "http": [{"route": [TO_B]}]}, "spec.gateways[0]"),
        ({"hosts": ["b"], "exportTo": ["Not A Namespace"], "http": [{"route": [TO_B]}]}, "spec.exportTo[0]"),
        ({"hosts": ["b"], "http": [{}]}, "spec.http[0]"),
        (_http(redirect={"uri": "/x"}), "spec.http[0]"),
        (_http(directResponse={"status": 200}), "spec.http[0]"),
        (_http(route=[TO_B, TO_B]), "spec.http[0].route"),
        (_http(route=[{"weight": 1}]), "spec.http[0].route[0].destination"),
        (
            _http(route=[{"destination": {"host": "b", "port": {"number": 0}}}]),
            "spec.http[0].route[0].destination.port.number",
        ),
        (_http(match=[{"uri": {"exact": "/", "prefix": "/"}}]), f"{MATCH}.uri"),
        (_http(match=[{"uri": {}}]), f"{MATCH}.uri"),
        (_http(match=[{"uri": {"prefix": ""}}]), f"{MATCH}.uri.prefix"),
        (_http(match=[{"uri": {"regex": "("}}]), f"{MATCH}.uri.regex"),
        (_http(match=[{"uri": {"regex": "a(?=b)"}}]), f"{MATCH}.uri.regex"),
        (_http(match=[{"headers": {"a b": {"exact": "1"}}}]), f"{MATCH}.headers[a b]"),
        (_http(match=[{"port": 70000}]), f"{MATCH}.port"),
        (_http(match=[{"uri": {"regex": "(?P<x>a)(?P=x)"}}]), f"{MATCH}.uri.regex"),
        (_http(match=[{"uri": {"regex": "a{1001}"}}]), f"{MATCH}.uri.regex"),
        (_http(headers={"request": {"set": {"x": "50%"}}}), "spec.http[0].headers.request.set[x]"),
        (_http(headers={"response": {"add": {"x": "a\nb"}}}), "spec.http[0].headers.response.add[x]"),
        (_http(rewrite={"authority": "a\r\nb"}), "spec.http[0].rewrite.authority"),
        (_http(timeout="1"), "spec.http[0].timeout"),
        (_http(retries={"attempts": 0, "retryOn": "5xx"}), "spec.http[0].retries.attempts"),
        (_http(retries={"attempts": 1, "retryOn": "sometimes"}), "spec.http[0].retries.retryOn"),
        (_http(fault={}), "spec.http[0].fault"),
        (_http(fault={"abort": {"percentage": {"value": 1}}}), "spec.http[0].fault.abort"),
        (_http(fault={"abort": {"httpStatus": 99}}), "spec.http[0].fault.abort.httpStatus"),
        (_http(fault={"abort": {"grpcStatus": "NOPE"}}), "spec.http[0].fault.abort.grpcStatus"),
        (_http(fault={"delay": {"percentage": {"value": 1}}}), "spec.http[0].fault.delay.fixedDelay"),
        (
            _http(fault={"delay": {"fixedDelay": "1s", "percentage": {"value": 101}}}),
            "spec.http[0].fault.delay.percentage.value",
        ),
        (_http(mirror={"host": "c"}, mirrors=[{"destination": {"host": "c"}}]), "spec.http[0]"),
        (_http(headers={"request": {"set": {":path": "/"}}}), "spec.http[0].headers.request.set[:path]"),
        (_http(corsPolicy={"allowOrigins": [{}]}), "spec.http[0].corsPolicy.allowOrigins[0]"),
        (_http(corsPolicy={"allowMethods": ["FETCH"]}), "spec.http[0].corsPolicy.allowMethods[0]"),
        (_http(rewrite={}), "spec.http[0].rewrite"),
        (_http(rewrite={"uri": "/", "uriRegexRewrite": {"match": "a", "rewrite": "b"}}), "spec.http[0].rewrite"),
        ({"hosts": ["b"], "http": [{"redirect": {"redirectCode": 302}}]}, "spec.http[0].redirect"),
        (
            {"hosts": ["b"], "http": [{"redirect": {"uri": "/", "redirectCode": 305}}]},
            "spec.http[0].redirect.redirectCode",
        ),
        (
            {"hosts": ["b"], "http": [{"redirect": {"uri": "/"}, "fault": {"abort": {"httpStatus": 500}}}]},
            "spec.http[0].fault",
        ),
        ({"hosts": ["b"], "http": [{"directResponse": {"status": 600}}]}, "spec.http[0].directResponse.status"),
        (
            {"hosts": ["b"], "http": [{"directResponse": {"status": 200, "body": {"bytes": "%"}}}]},
            "spec.http[0].directResponse.body.bytes",
        ),
        ({"http": [{"delegate": {"name": "x"}}]}, "spec.http[0].delegate"),
        ({"http": [{"match": [{"uri": {"regex": "a"}}], "route": [TO_B]}]}, MATCH),
        ({"tcp": [{"route": [TO_B]}]}, "spec.tcp"),
        (
            {"hosts": ["b"], "http": [{"match": [{"uri": {"regex": "a"}}], "delegate": {"name": "x"}}]},
            MATCH,
        ),
        ({"hosts": ["b"], "tls": [{"route": [TO_B]}]}, "spec.tls[0].match"),
        (
            {"hosts": ["b.com"], "tls": [{"match": [{"sniHosts": ["c.com"]}], "route": [TO_B]}]},
            "spec.tls[0].match[0].sniHosts[0]",
        ),
        (
            {"hosts": ["b"], "tcp": [{"match": [{"destinationSubnets": ["x"]}], "route": [TO_B]}]},
            "spec.tcp[0].match[0].destinationSubnets[0]",
        ),
    ],
)
def test_refused(spec: Obj, path: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        _parse(spec)
    assert path in [error.path for error in caught.value.errors]


@pytest.mark.parametrize(
    "spec",
    [
        _http(timeout="0s"),
        _http(match=[{"uri": {"regex": r"/\pL+/(?P<x>a|b)\z"}}]),
        _http(match=[{"headers": {"x": {}}, "withoutHeaders": {"y": {}}}]),
        _http(match=[{"uri": {"regex": r"\Qa(b\E\x{41}(?<n>x)[[:alpha:]](?i)y"}}]),
        _http(headers={"request": {"set": {"x": "50%%", "y": "%REQ(:path)%", "z": "%START_TIME%"}}}),
        _http(retries={"attempts": 0}),
        _http(route=[{**TO_B, "weight": 0}]),
        _http(headers={"request": {"set": {"Host": "x"}}}),
        {"hosts": ["*.example.com", "10.0.0.1"], "http": [{"route": [TO_B]}]},
        {"hosts": ["*"], "gateways": ["istio-system/gw"], "http": [{"route": [TO_B]}]},
        {"hosts": ["*.b.com"], "tls": [{"match": [{"sniHosts": ["c.b.com"]}], "route": [TO_B]}]},
        {"http": [{"route": [TO_B]}]},
    ],
)
def test_accepted(spec: Obj) -> None:
    _parse(spec)


def test_unknown_kind_says_what_is_known() -> None:
    with pytest.raises(InvalidConfig, match=r"DestinationRule\.networking\.istio\.io"):
        parse({"apiVersion": "networking.istio.io/v2", "kind": "VirtualService", "metadata": {}, "spec": {}})
