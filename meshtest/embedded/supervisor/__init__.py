"""The first process of a cluster set: PID 1 of its own PID and mount namespaces, parent of everything else.

It is small, single-threaded and has no event loop, so it may fork. Killing it, even with SIGKILL, takes every process,
namespace, mount and link of the set along, because nothing of them is anchored elsewhere. Imports of API server,
controllers and node happen in the children, after the fork.
"""
