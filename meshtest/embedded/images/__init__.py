"""Images and containers: what a name stands for, and how a container of it comes to life.

An image is data: a name -> an entry point on this machine, found through the entry-point group ``meshtest.images``.
A container is a process with namespaces of its own, forked from the warm process. This package knows nothing of pods or
the API: it gets a root to build, a user to become and a program to run. It imports neither ``node`` nor ``apiserver``.
"""
