"""Random valid configuration, made from the declarations of the models themselves."""

import random
from typing import Any

from reference.api import DestinationRule, InvalidConfig, VirtualService, parse
from reference.api.http import HTTPRoute
from reference.api.kinds import Boolean, Duration, Integer, Kind, Many, MapOf, Number, OneOfNames, Text
from reference.api.message import Message, Sub, declared
from tests.reference.generate.mesh_state import Obj, config

TEXTS = (
    *("b", "v1", "x-a", "/p", "c.other.svc.cluster.local", "*.w.example.com", "10.0.0.0/8", "regex.*", "50%%", "é"),
    *("5xx", "UNAVAILABLE", "", "x y", "/a/(b)", "%", "~"),
)
ROOTS = "/etc/ssl/certs/ca-certificates.crt"
TO_B: Obj = {"destination": {"host": "b"}}
ATTEMPTS = 3000


class Maker:
    """One seed gives one sequence of objects."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def _value(self, kind: Kind) -> Any:
        pick = self._random.choice
        if isinstance(kind, Sub):
            return self._message(kind.cls)
        if isinstance(kind, Many):
            return [self._value(kind.item) for _ in range(pick((0, 1, 1, 2)))]
        if isinstance(kind, MapOf):
            return {pick(("x-a", "X-B", "app", "host", "q")): self._value(kind.item) for _ in range(pick((0, 1, 2)))}
        if isinstance(kind, OneOfNames):
            return pick(kind.names)
        if isinstance(kind, Integer):
            low, high = kind.low or 0, 1000 if kind.high is None else kind.high
            return min(high, max(low, pick((low, high, 1, 80, 301, 503))))
        if isinstance(kind, Number):
            low_number, high_number = kind.low or 0, 1000 if kind.high is None else kind.high
            return pick((low_number, high_number, (low_number + high_number) / 3))
        if isinstance(kind, Boolean):
            return self._random.random() < 0.5
        if isinstance(kind, Duration):
            return pick(("1s", "1ms", "2.5s", "1h", "0s", "1000000h", "1.5ms"))
        if isinstance(kind, Text):
            return pick([text for text in TEXTS if not any(check(text) for check in kind.checks)] or list(TEXTS))
        return {}

    def _message(self, cls: type[Message], share: float = 0.35) -> Obj:
        made: Obj = {}
        groups = {name: group for group in cls.ONE_OF for name in group.names}
        used = set()
        for about in declared(cls):
            group = groups.get(about.json)
            if group is None:
                if about.required or self._random.random() < share:
                    made[about.json] = self._value(about.kind)
            elif group not in used:
                last = group.required and about.json == group.names[-1]
                if last or self._random.random() < 1 / len(group.names):
                    used.add(group)
                    made[about.json] = self._value(about.kind)
        return made

    def _route(self) -> Obj:
        """An HTTP route that concerns the test's proxy."""
        for _ in range(ATTEMPTS):
            made = self._message(HTTPRoute)
            made.pop("delegate", None)
            if made.get("route"):
                made.pop("redirect", None)
                made.pop("directResponse", None)
            elif "redirect" not in made and "directResponse" not in made:
                made["route"] = [TO_B]
            for match in made.get("match", ()):
                for name in ("sourceLabels", "sourceNamespace", "gateways", "port"):
                    match.pop(name, None)
            if _valid(config("VirtualService", "x", {"hosts": ["b"], "http": [made]})):
                return made
        raise AssertionError(f"no valid route in {ATTEMPTS} attempts")

    def virtual_service(self) -> Obj:
        routes = [self._route() for _ in range(self._random.randint(1, 5))]
        hosts = ["b", *self._random.sample(["x.example.com", "*.example.com", "c.other.svc.cluster.local"], 2)]
        return config("VirtualService", "random", {"hosts": hosts, "http": routes})

    def destination_rule(self) -> Obj:
        for _ in range(ATTEMPTS):
            spec = self._message(DestinationRule, 0.6) | {"host": "b"}
            spec.pop("exportTo", None)
            _use_real_files(spec)
            made = config("DestinationRule", "random", spec)
            if _valid(made):
                return made
        raise AssertionError(f"no valid DestinationRule in {ATTEMPTS} attempts")


def _use_real_files(value: Any) -> None:
    """Envoy reads the files that it is told of: roots exist everywhere, private keys do not."""
    if isinstance(value, list):
        for entry in value:
            _use_real_files(entry)
    elif isinstance(value, dict):
        if value.get("mode") == "MUTUAL":
            value["mode"] = "SIMPLE"
        for name, entry in value.items():
            if name in ("caCertificates", "caCrl"):
                value[name] = ROOTS if name == "caCertificates" else ""
            else:
                _use_real_files(entry)


def _valid(obj: Obj) -> bool:
    try:
        model = parse(obj)
    except InvalidConfig:
        return False
    return isinstance(model, VirtualService | DestinationRule)
