"""Templates of this suite."""

from textwrap import dedent, indent


def routes(http: str, host: str = "b") -> str:
    """A VirtualService for a host, from its `http` list in YAML; still a template."""
    head = f"""\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: {host}
spec:
  hosts: [{host}]
  http:
"""
    return head + indent(dedent(http).strip("\n"), "    ")


def to_v2_if(match: str) -> str:
    """What meets the condition goes to b's v2, everything else to v1."""
    return routes(f"""
- match:
{indent(dedent(match).strip(chr(10)), "    ")}
  route:
    - destination: {{host: b, subset: v2}}
- route:
    - destination: {{host: b, subset: v1}}
""")


def balancing(policy: str) -> str:
    """A DestinationRule for b with a load balancer and no subsets."""
    return f"""\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: b
spec:
  host: b
  trafficPolicy:
    loadBalancer: {{{policy}}}
"""
