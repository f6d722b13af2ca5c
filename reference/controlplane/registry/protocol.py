"""Which protocol a service port speaks.

`appProtocol` beats the prefix of the port's name; without either the proxy looks at the first bytes, except on the
well-known ports where the server speaks first and looking would wait for ever
(https://istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection/).
"""

from enum import Enum


class Protocol(Enum):
    HTTP = "http"
    HTTP2 = "http2"
    GRPC = "grpc"
    GRPC_WEB = "grpc-web"
    HTTPS = "https"
    TLS = "tls"
    TCP = "tcp"
    UDP = "udp"
    MONGO = "mongo"
    REDIS = "redis"
    MYSQL = "mysql"
    AUTO = "auto"
    """Not declared: the proxy finds out."""

    @property
    def is_http(self) -> bool:
        return self in _HTTP

    @property
    def is_http2(self) -> bool:
        return self in _HTTP2

    @property
    def is_sniffed(self) -> bool:
        return self is Protocol.AUTO

    @property
    def is_tls(self) -> bool:
        return self in (Protocol.HTTPS, Protocol.TLS)


_HTTP2 = frozenset({Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB})
_HTTP = _HTTP2 | {Protocol.HTTP}
_BY_NAME = {protocol.value: protocol for protocol in Protocol if protocol is not Protocol.AUTO}
_KUBERNETES = {
    "kubernetes.io/h2c": Protocol.HTTP2,
    "kubernetes.io/ws": Protocol.HTTP,
    "kubernetes.io/wss": Protocol.HTTPS,
}
SERVER_FIRST_PORTS = frozenset({25, 53, 110, 143, 3306, 27017})


def detect(name: str | None, app_protocol: str | None, transport: str | None, number: int) -> Protocol:
    """The protocol of a service port.

    An unknown `appProtocol` counts as none given. Transport `UDP` wins over everything.
    """
    if (transport or "TCP").upper() == "UDP":
        return Protocol.UDP
    if app_protocol:
        lowered = app_protocol.lower()
        found = _KUBERNETES.get(lowered) or _BY_NAME.get(lowered)
        if found is not None:
            return found
    if name:
        lowered = name.lower()
        if lowered.startswith("grpc-web"):
            return Protocol.GRPC_WEB
        found = _BY_NAME.get(lowered.partition("-")[0])
        if found is not None:
            return found
    return Protocol.TCP if number in SERVER_FIRST_PORTS else Protocol.AUTO
