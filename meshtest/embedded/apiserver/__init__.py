"""The API server of an embedded cluster: Kubernetes' API over TLS, with its objects in memory.

One process, one event loop, no locks: a store commit is synchronous. Objects are plain trees that nobody changes once
they are stored; each is kept beside its JSON bytes, so that reads and watches only copy bytes.

How a request goes: `server` (HTTP) → `authn` → `rbac` → `verbs` (one function per verb) → `admission` and `webhooks`
→ `kinds.*` rules → `store`.

Must not import anything of meshtest outside `meshtest.embedded`, nor kubeclient: it is the thing that clients talk to.
"""
