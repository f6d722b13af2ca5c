"""Every field of VirtualService and DestinationRule that generation reads, in one pair of objects."""

from typing import Any

from tests.reference.generate.mesh_state import config

Obj = dict[str, Any]
B = "b.demo.svc.cluster.local"

ROUTES: list[Obj] = [
    {
        "name": "matches",
        "match": [
            {
                "name": "all",
                "uri": {"exact": "/exact"},
                "scheme": {"exact": "http"},
                "method": {"exact": "GET"},
                "authority": {"prefix": "b"},
                "headers": {"x-a": {"exact": "1"}, "x-b": {"prefix": "p"}, "x-c": {"regex": "r.*"}, "x-d": {}},
                "withoutHeaders": {"x-e": {"exact": "1"}, "x-f": {}},
                "queryParams": {"q": {"exact": "1"}, "r": {"regex": "a|b"}, "s": {"prefix": "x"}, "t": {}},
                "ignoreUriCase": True,
                "port": 80,
                "sourceNamespace": "demo",
                "sourceLabels": {"app": "a"},
                "gateways": ["mesh"],
            },
            {"uri": {"regex": "/re/.*"}},
        ],
        "route": [
            {
                "destination": {"host": "b", "subset": "v1", "port": {"number": 80}},
                "weight": 80,
                "headers": {
                    "request": {"set": {"x-set": "1", "Host": "other"}, "add": {"x-add": "1"}, "remove": ["x-remove"]},
                    "response": {"set": {"y-set": "1"}, "add": {"y-add": "1"}, "remove": ["y-remove"]},
                },
            },
            {"destination": {"host": B, "subset": "v2"}, "weight": 20},
            {"destination": {"host": B, "subset": "v3"}, "weight": 0},
        ],
        "headers": {"request": {"set": {"x-route": "1"}}, "response": {"remove": ["y-route"]}},
        "timeout": "2.5s",
        "retries": {
            "attempts": 3,
            "perTryTimeout": "500ms",
            "retryOn": "5xx,reset,503",
            "retryRemoteLocalities": True,
            "backoff": "10ms",
        },
        "fault": {
            "delay": {"fixedDelay": "100ms", "percentage": {"value": 12.5}},
            "abort": {"httpStatus": 418, "percentage": {"value": 0.01}},
        },
        "mirror": {"host": "c.other.svc.cluster.local"},
        "mirrorPercentage": {"value": 50},
        "corsPolicy": {
            "allowOrigins": [{"exact": "http://a"}, {"regex": "http://b.*"}],
            "allowMethods": ["GET", "POST"],
            "allowHeaders": ["x-a", "x-b"],
            "exposeHeaders": ["x-c"],
            "maxAge": "1m",
            "allowCredentials": True,
            "unmatchedPreflights": "IGNORE",
        },
    },
    {
        "match": [{"uri": {"prefix": "/rewrite"}}],
        "rewrite": {"uri": "/new", "authority": "new.host"},
        "route": [{"destination": {"host": "b"}}],
        "retries": {"attempts": 0},
        "mirrors": [
            {"destination": {"host": "c.other.svc.cluster.local"}, "percentage": {"value": 0}},
            {"destination": {"host": "a"}},
        ],
    },
    {
        "match": [{"uri": {"prefix": "/regex-rewrite"}}],
        "rewrite": {"uriRegexRewrite": {"match": "/a/([^/]+)", "rewrite": "/b/\\1"}},
        "fault": {"abort": {"grpcStatus": "UNAVAILABLE"}},
        "route": [{"destination": {"host": "unknown.example.com"}}],
    },
    {
        "match": [{"uri": {"prefix": "/redirect"}}],
        "redirect": {"uri": "/to", "authority": "c", "redirectCode": 307, "scheme": "https", "port": 8443},
    },
    {
        "match": [{"uri": {"prefix": "/direct"}}],
        "directResponse": {"status": 503, "body": {"string": "no"}},
        "headers": {"response": {"set": {"x-direct": "1"}}},
    },
    {"name": "rest", "route": [{"destination": {"host": "b"}}]},
    {"name": "never", "route": [{"destination": {"host": "a"}}]},
]
VIRTUAL_SERVICE = config("VirtualService", "everything", {"hosts": ["b", "outside.example.com"], "http": ROUTES})

SUBSETS: list[Obj] = [
    {"name": "v1", "labels": {"version": "v1"}},
    {
        "name": "v2",
        "labels": {"version": "v2"},
        "trafficPolicy": {
            "loadBalancer": {"consistentHash": {"httpCookie": {"name": "c", "ttl": "60s", "path": "/"}}},
            "tls": {"mode": "ISTIO_MUTUAL", "subjectAltNames": ["spiffe://cluster.local/ns/demo/sa/b"]},
        },
    },
    {
        "name": "v3",
        "labels": {"version": "v3"},
        "trafficPolicy": {
            "loadBalancer": {"consistentHash": {"httpQueryParameterName": "q", "maglev": {"tableSize": 101}}},
            "portLevelSettings": [{"port": {"number": 80}, "tls": {"mode": "DISABLE"}}],
        },
    },
    {
        "name": "v4",
        "labels": {"version": "v4"},
        "trafficPolicy": {"loadBalancer": {"consistentHash": {"useSourceIp": True, "ringHash": {}}}},
    },
    {
        "name": "v5",
        "trafficPolicy": {
            "loadBalancer": {"simple": "ROUND_ROBIN", "warmup": {"duration": "10s", "aggression": 1.5}},
            "tls": {"mode": "SIMPLE", "sni": "x.example.com", "insecureSkipVerify": True},
        },
    },
    {"name": "v6", "trafficPolicy": {"loadBalancer": {"simple": "PASSTHROUGH"}}},
    {"name": "v7", "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}},
]
DESTINATION_RULE = config(
    "DestinationRule",
    "everything",
    {
        "host": "b",
        "trafficPolicy": {
            "loadBalancer": {"consistentHash": {"httpHeaderName": "x-user"}},
            "connectionPool": {
                "tcp": {
                    "maxConnections": 10,
                    "connectTimeout": "1s",
                    "tcpKeepalive": {"probes": 3, "time": "60s", "interval": "5s"},
                },
                "http": {
                    "http1MaxPendingRequests": 5,
                    "http2MaxRequests": 7,
                    "maxRequestsPerConnection": 9,
                    "maxRetries": 2,
                    "idleTimeout": "30s",
                    "maxConcurrentStreams": 11,
                },
            },
            "outlierDetection": {
                "consecutive5xxErrors": 3,
                "consecutiveGatewayErrors": 2,
                "interval": "1s",
                "baseEjectionTime": "5s",
                "maxEjectionPercent": 50,
                "minHealthPercent": 20,
                "splitExternalLocalOriginErrors": True,
                "consecutiveLocalOriginFailures": 4,
            },
        },
        "subsets": SUBSETS,
    },
)
TCP = config(
    "VirtualService",
    "tcp",
    {
        "hosts": ["c.other.svc.cluster.local", "*.wild.example.com"],
        "tcp": [
            {
                "match": [{"port": 9090, "sourceLabels": {"app": "a"}}],
                "route": [
                    {"destination": {"host": "b"}, "weight": 25},
                    {"destination": {"host": "a"}, "weight": 75},
                ],
            }
        ],
        "tls": [
            {
                "match": [{"port": 443, "sniHosts": ["c.other.svc.cluster.local"]}],
                "route": [{"destination": {"host": "b"}}],
            }
        ],
        "http": [{"route": [{"destination": {"host": "b"}}]}],
    },
)
