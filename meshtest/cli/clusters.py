"""Choosing and describing cluster sets."""

from collections.abc import Iterator

from meshtest.embedded import ClusterSet, EmbeddedError, attach, find


def choose(run_id: str | None) -> ClusterSet:
    """The running set of that id; without one, the only one that runs. Errors: EmbeddedError."""
    if run_id is not None:
        return attach(run_id)
    running = [each for each in find() if each.alive()]
    if len(running) == 1:
        return running[0]
    names = ", ".join(each.run_id for each in running)
    raise EmbeddedError(f"several run, name one: {names}" if running else "no cluster runs; hint: meshtest up")


def describe(each: ClusterSet) -> Iterator[str]:
    """Lines about one set: whether it lives, and its kubeconfigs."""
    if not each.alive():
        yield f"{each.run_id}: dead, left {each.state_dir}    (meshtest cleanup {each.run_id})"
        return
    yield f"{each.run_id}: running, supervisor {each.pid}"
    for cluster in each.clusters:
        yield f"  export KUBECONFIG={each.kubeconfig(cluster)}    # {cluster}"
