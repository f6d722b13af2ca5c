"""TLS between proxies: SPIFFE certificates from the agent, exact identities, ALPN that tells what is inside."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from envoy.type.matcher.v3 import string_pb2
from google.protobuf.any_pb2 import Any as AnyMessage

from reference.api.destinationrule import ClientTLSSettings
from reference.controlplane.generate import wire
from reference.controlplane.generate.builders import packed, sds
from reference.controlplane.registry import Protocol

ALPN_HTTP1 = ("istio-http/1.1", "istio", "http/1.1")
ALPN_HTTP2 = ("istio-h2", "istio", "h2")
ALPN_TCP = ("istio",)
MESH_HTTP = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
MESH_TCP = ("istio-peer-exchange", "istio")
SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"

_UPSTREAM = f"type.googleapis.com/{tls_pb2.UpstreamTlsContext.DESCRIPTOR.full_name}"
_PARAMETERS: TypeAlias = common_pb2.TlsParameters


def alpn(protocol: Protocol) -> tuple[str, ...]:
    """What a client offers for a service port. The sniffed kind is refined per connection by the listener."""
    if protocol.is_http2:
        return ALPN_HTTP2
    return ALPN_HTTP1 if protocol.is_http else ALPN_TCP


def identity(trust_domain: str, account: str) -> str:
    """The SPIFFE ID of `namespace/service-account`."""
    namespace, _, name = account.partition("/")
    return f"spiffe://{trust_domain}/ns/{namespace}/sa/{name}"


def _parameters() -> common_pb2.TlsParameters:
    return _PARAMETERS(
        tls_minimum_protocol_version=_PARAMETERS.TLSv1_2, tls_maximum_protocol_version=_PARAMETERS.TLSv1_3
    )


def _secret(name: str) -> secret_pb2.SdsSecretConfig:
    return secret_pb2.SdsSecretConfig(name=name, sds_config=sds())


@lru_cache(maxsize=4096)
def _common(sans: tuple[str, ...], protocols: tuple[str, ...]) -> bytes:
    """Encoded: the same for all ports and subsets of a service."""
    context = tls_pb2.CommonTlsContext(
        tls_params=_parameters(),
        tls_certificate_sds_secret_configs=[_secret("default")],
        alpn_protocols=protocols,
    )
    combined = context.combined_validation_context
    combined.validation_context_sds_secret_config.CopyFrom(_secret("ROOTCA"))
    for san in sans:
        combined.default_validation_context.match_typed_subject_alt_names.append(
            common_pb2.SubjectAltNameMatcher(
                san_type=common_pb2.SubjectAltNameMatcher.URI, matcher=string_pb2.StringMatcher(exact=san)
            )
        )
    if not sans:
        combined.default_validation_context.SetInParent()
    encoded: bytes = context.SerializeToString(deterministic=True)
    return encoded


def _socket(context: tls_pb2.UpstreamTlsContext | tls_pb2.DownstreamTlsContext) -> base_pb2.TransportSocket:
    return base_pb2.TransportSocket(name="envoy.transport_sockets.tls", typed_config=packed(context))


def mutual_client(sans: Sequence[str], server_name: str, protocols: Sequence[str]) -> base_pb2.TransportSocket:
    """A client of the mesh. `sans`: identities that the server may have; none means any of the mesh."""
    body = wire.field(1, _common(tuple(sans), tuple(protocols))) + wire.text(2, server_name)
    config = AnyMessage(type_url=_UPSTREAM, value=body)
    return base_pb2.TransportSocket(name="envoy.transport_sockets.tls", typed_config=config)


def mutual_server(protocols: Sequence[str]) -> base_pb2.TransportSocket:
    """A server of the mesh: a client certificate is required."""
    context = tls_pb2.DownstreamTlsContext()
    context.common_tls_context.MergeFromString(_common((), tuple(protocols)))
    context.require_client_certificate.value = True
    return _socket(context)


@lru_cache(maxsize=1)
def plain() -> base_pb2.TransportSocket:
    return base_pb2.TransportSocket(
        name="envoy.transport_sockets.raw_buffer", typed_config=packed(raw_buffer_pb2.RawBuffer())
    )


def originated(settings: ClientTLSSettings, protocols: Sequence[str]) -> base_pb2.TransportSocket:
    """TLS of modes SIMPLE and MUTUAL, to servers outside the mesh."""
    context = tls_pb2.CommonTlsContext(tls_params=_parameters(), alpn_protocols=protocols)
    if settings.mode == "MUTUAL" and settings.client_certificate and settings.private_key:
        certificate = context.tls_certificates.add()
        certificate.certificate_chain.filename = settings.client_certificate
        certificate.private_key.filename = settings.private_key
    if not settings.insecure_skip_verify:
        validation = context.validation_context
        validation.trusted_ca.filename = settings.ca_certificates or SYSTEM_ROOTS
        if settings.ca_crl:
            validation.crl.filename = settings.ca_crl
        for san in settings.subject_alt_names:
            kinds = (common_pb2.SubjectAltNameMatcher.URI,) if "://" in san else (common_pb2.SubjectAltNameMatcher.DNS,)
            for kind in kinds:
                validation.match_typed_subject_alt_names.append(
                    common_pb2.SubjectAltNameMatcher(san_type=kind, matcher=string_pb2.StringMatcher(exact=san))
                )
    upstream = tls_pb2.UpstreamTlsContext(common_tls_context=context, sni=settings.sni or "")
    if not settings.sni:
        upstream.auto_host_sni = True
    return _socket(upstream)
