"""The plugin itself comes by its entry point; this only lets its own tests drive pytest (tests/plugin)."""

pytest_plugins = ["pytester"]
