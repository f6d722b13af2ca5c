"""What a test author works with: Suite, TestContext, sub-tests, config plans, labels, features, requirements.

Everything here is independent of any particular mesh, and of pytest but for labels, which are its markers: the plugin
hands in the world (an environment and a mesh) and this package decides what a test may do with it and how it is put
back afterwards.
Must not import meshtest.mesh, meshtest.echo, meshtest.report, meshtest.plugin or meshtest.cli.
"""
