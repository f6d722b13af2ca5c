"""The xDS transport: what proxies subscribe to, what they were sent and what they acknowledged.

`delta` and `sotw` are the protocol as state machines without I/O; `encode` writes responses as bytes that streams
share; `server` puts them on grpc.aio; `connections` is who is connected. What goes into a response is decided
elsewhere: this package asks a `Source` for resources and must not import the registry, configuration, snapshot or CA.
"""
