"""The command and its subcommands' faces; what they do is in the modules beside."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from meshtest.cli import doctor as doctors
from meshtest.cli.clusters import choose, describe
from meshtest.embedded import ClusterSet, ClusterSetSpec, ClusterSpec, EmbeddedError, InvalidSpec, cleanup, find


@contextmanager
def _told() -> Iterator[None]:
    """Errors of the cluster become one line."""
    try:
        yield
    except (EmbeddedError, InvalidSpec) as error:
        raise click.ClickException(str(error)) from error


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="meshtest")
def main() -> None:
    """Clusters for service-mesh tests on this machine."""


@main.command()
@click.option("--name", help="of what is started, for the other commands (default: made from the time)")
@click.option("--clusters", default=1, show_default=True, type=click.IntRange(1, 20), help="how many")
@click.option("--nodes", default=1, show_default=True, type=click.IntRange(1, 10), help="nodes of each cluster")
@click.option("--network", "networks", multiple=True, help="network of each cluster in turn (default: all on one)")
@click.option("--ip-family", default="ipv4", show_default=True, type=click.Choice(["ipv4", "ipv6", "dual"]))
@click.option("--mesh", default="none", show_default=True, help="install this mesh, such as reference")
def up(name: str | None, clusters: int, nodes: int, networks: tuple[str, ...], ip_family: str, mesh: str) -> None:
    """Start clusters that live until `meshtest down`."""
    if ip_family != "ipv4":
        raise click.UsageError(f"--ip-family {ip_family} is not there yet: only ipv4 works today")
    if networks and len(networks) != clusters:
        raise click.UsageError(f"--network: expected {clusters}, one for each cluster, got {len(networks)}")
    specs = [
        ClusterSpec(name=f"cluster-{index}", nodes=nodes, **({"network": networks[index]} if networks else {}))
        for index in range(clusters)
    ]
    name = name or time.strftime(f"up-%H%M%S-{os.getpid()}")
    began = time.monotonic()
    with _told():
        started = ClusterSet.start(ClusterSetSpec(run_id=name, clusters=specs), hold=False)
    if mesh != "none":
        _install(started, mesh)
    click.echo(f"{name} up after {time.monotonic() - began:.1f} s")
    for cluster in started.clusters:
        click.echo(f"  export KUBECONFIG={started.kubeconfig(cluster)}    # {cluster}")
    click.echo(f"  end it with: meshtest down {name}")


def _install(started: ClusterSet, mesh_name: str) -> None:
    """Install a mesh; on failure the clusters stay, as they explain it."""
    from meshtest.environment.embedded import EmbeddedFactory, attachment_of
    from meshtest.environment.errors import UsageError
    from meshtest.mesh import driver

    try:
        mesh = driver(mesh_name)
    except UsageError as error:
        started.stop()
        raise click.UsageError(str(error)) from None
    environment = EmbeddedFactory().attach(attachment_of(started))
    try:
        mesh.attach(environment)
        mesh.install()
        mesh.close()
    finally:
        environment.stop()


@main.command()
@click.argument("name", required=False)
@click.option("--all", "everything", is_flag=True, help="every one that runs")
def down(name: str | None, everything: bool) -> None:
    """End clusters that `meshtest up` or --nocleanup left. Without NAME: the only ones that run."""
    if name and everything:
        raise click.UsageError("give a name or --all, not both")
    with _told():
        chosen = [each for each in find() if each.alive()] if everything else [choose(name)]
        for each in chosen:
            each.stop()
            click.echo(f"{each.run_id} is gone")
    if not chosen:
        click.echo("no cluster runs")


@main.command()
def status() -> None:
    """What runs, and what is left of what ran."""
    found = find()
    if not found:
        click.echo("no clusters of ours on this machine")
    for each in found:
        for line in describe(each):
            click.echo(line)


@main.command(name="cleanup")
@click.argument("run_id", required=False)
@click.option("--all", "everything", is_flag=True, help="of all runs, living ones too")
def clean(run_id: str | None, everything: bool) -> None:
    """Remove what a run left: processes, namespaces, directories. Without RUN_ID: of all runs that are dead."""
    if run_id and everything:
        raise click.UsageError("give a run id or --all, not both")
    with _told():
        if run_id or everything:
            removed = cleanup(run_id)
            if run_id and not removed:
                raise click.ClickException(f"nothing is left of {run_id!r}; see `meshtest status`")
        else:
            removed = [name for each in find() if not each.alive() for name in cleanup(each.run_id)]
    for name in removed:
        click.echo(f"removed {name}")
    if not removed:
        click.echo("nothing to remove")


@main.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}
)
@click.option("--name", help="where several run; stands before kubectl's own arguments")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def kubectl(name: str | None, arguments: tuple[str, ...]) -> None:
    """kubectl on the running cluster: `meshtest kubectl get pods -A`. MESHTEST_CLUSTER chooses one of several."""
    program = shutil.which("kubectl")
    if program is None:
        raise click.ClickException("kubectl is not in PATH; any 1.30 or later works")
    with _told():
        chosen = choose(name)
        path = chosen.kubeconfig(os.environ.get("MESHTEST_CLUSTER", chosen.clusters[0]))
    os.execve(program, [program, *arguments], {**os.environ, "KUBECONFIG": str(path)})


@main.command(name="exec", context_settings={"ignore_unknown_options": True})
@click.argument("pod")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
@click.option("-n", "--namespace", default="default", show_default=True)
@click.option("-c", "--container", help="default: the pod's first")
@click.option("--name", help="where several run")
@click.option("--cluster", default="cluster-0", show_default=True)
def execute(
    pod: str, command: tuple[str, ...], namespace: str, container: str | None, name: str | None, cluster: str
) -> None:
    """Run a command in a pod: `meshtest exec -n apps a-v1-… -- ip addr`."""
    from kubeclient import KubeError
    from meshtest.kube import Kube, LoopThread

    with _told():
        path = choose(name).kubeconfig(cluster)
    loop = LoopThread()
    try:
        kube = Kube.open(path, loop)
        result = kube.exec(namespace, pod, list(command), container=container)
        kube.close()
    except KubeError as error:
        raise click.ClickException(str(error)) from error
    finally:
        loop.close()
    sys.stdout.buffer.write(result.stdout)
    sys.stderr.buffer.write(result.stderr)
    sys.exit(result.exit_code)


@main.command()
def doctor() -> None:
    """Say what this machine lacks; exit code 1 if anything."""
    findings = doctors.examine()
    for finding in findings:
        mark = click.style("ok  ", fg="green") if finding.ok else click.style("MISS", fg="red")
        click.echo(f"{mark} {finding.what}" + ("" if finding.ok else f"\n       {finding.hint}"))
    if not all(finding.ok or finding.optional for finding in findings):
        sys.exit(1)
