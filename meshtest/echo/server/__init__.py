"""The echo workload's program: it answers with what it saw, and sends what a test asks it to send.

It serves HTTP/1.0, HTTP/1.1, HTTP/2 (clear and TLS), WebSocket, gRPC, TCP and server-first TCP, and listens on
127.0.0.1:17171 for calls to make. It stands alone: it runs inside a pod, forked warm within milliseconds, and must
import neither pytest nor anything else of meshtest.
"""
