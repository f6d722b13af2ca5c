"""The pytest plugin, loaded by its entry point `meshtest`. One built-in plugin per module.

It must stay cheap to import: every pytest run of this machine's environment pays for it. So the modules that need a
cluster, a mesh or the Kubernetes client are imported when a selected test needs them. May import everything of
meshtest but meshtest.cli.
"""

import pytest

from meshtest.plugin import options

pytest_addoption = options.pytest_addoption
pytest_load_initial_conftests = options.pytest_load_initial_conftests


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register markers, and the parts that act only where there are tests of ours."""
    options.register_markers(config)
    options.keep_others_results(config)
    from meshtest.plugin import dumps, fixtures, scheduling, selection, suites, summary, world

    state = world.World(config, options.parse(config))
    config.stash[world.WORLD] = state
    parts = (selection.Selection(config), state, fixtures, suites.Suites(config, state), dumps.Dumps(state))
    for part in (*parts, summary.Summary(config, state)):
        config.pluginmanager.register(part)
    if config.pluginmanager.hasplugin("dsession") or config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(scheduling.Scheduling(state))
