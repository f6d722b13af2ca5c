"""The controllers and the scheduler of one embedded cluster: Deployments become ReplicaSets become Pods, Services get
EndpointSlices, namespaces their service account, and what lost its owner goes.

One asyncio process with shared informers. Each controller is a pure `plan`, from objects to actions, and a queue that
runs it for every object that something happened to, at once: no resync, no debounce. They know the API server only
through its API, so a real one can take its place. Must not import `apiserver`, `node` or `network`.
"""
