"""Access logs: one JSON object a line, with the keys of Istio's JSON log and the identities of both ends."""

from functools import lru_cache

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import substitution_format_string_pb2
from envoy.extensions.access_loggers.file.v3 import file_pb2

from reference.api import MeshConfig
from reference.controlplane.generate.builders import packed

FORMAT = {
    "start_time": "%START_TIME%",
    "method": "%REQUEST_HEADER(:METHOD)%",
    "path": "%REQUEST_HEADER(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "upstream_service_time": "%RESPONSE_HEADER(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "x_forwarded_for": "%REQUEST_HEADER(X-FORWARDED-FOR)%",
    "user_agent": "%REQUEST_HEADER(USER-AGENT)%",
    "request_id": "%REQUEST_HEADER(X-REQUEST-ID)%",
    "authority": "%REQUEST_HEADER(:AUTHORITY)%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "route_name": "%ROUTE_NAME%",
    "upstream_peer_uri_san": "%UPSTREAM_PEER_URI_SAN%",
    "downstream_peer_uri_san": "%DOWNSTREAM_PEER_URI_SAN%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
}


def access_logs(mesh: MeshConfig) -> list[accesslog_pb2.AccessLog]:
    """The log of every listener; none when the mesh config names no file."""
    if not mesh.access_log_file:
        return []
    return [_log(mesh.access_log_file, mesh.access_log_format, mesh.access_log_encoding)]


@lru_cache(maxsize=8)
def _log(path: str, line: str, encoding: str) -> accesslog_pb2.AccessLog:
    """Made once: every listener has it several times over."""
    text = substitution_format_string_pb2.SubstitutionFormatString()
    if line and encoding == "TEXT":
        text.text_format_source.inline_string = line if line.endswith("\n") else line + "\n"
    else:
        text.json_format.update(FORMAT)
    log = file_pb2.FileAccessLog(path=path, log_format=text)
    return accesslog_pb2.AccessLog(name="envoy.access_loggers.file", typed_config=packed(log))
