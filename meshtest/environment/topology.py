"""Topologies: which clusters, on which networks, and who runs their control plane. Plain data."""

from dataclasses import dataclass

from meshtest.environment.errors import UsageError


@dataclass(frozen=True, slots=True)
class ClusterTopology:
    """One cluster. `primary` and `config` name the clusters with its control plane and its config; default itself."""

    name: str
    network: str = "network-1"
    primary: str = ""
    config: str = ""
    nodes: int = 1

    @property
    def is_primary(self) -> bool:
        """Whether a control plane runs here."""
        return self.primary in ("", self.name)


@dataclass(frozen=True, slots=True)
class Topology:
    """A set of clusters, in order; the first is what tests of one cluster use.

    Errors: UsageError for no cluster, a name twice, or a primary that is not part of it.
    """

    clusters: tuple[ClusterTopology, ...] = (ClusterTopology("cluster-0"),)

    def __post_init__(self) -> None:
        names = [cluster.name for cluster in self.clusters]
        if not names:
            raise UsageError("a topology needs at least one cluster")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise UsageError(f"topology: cluster names must differ, got twice: {', '.join(twice)}")
        for cluster in self.clusters:
            for role, other in (("primary", cluster.primary), ("config", cluster.config)):
                if other and other not in names:
                    raise UsageError(f"topology: {role} of {cluster.name} is {other!r}, expected one of {names}")

    @classmethod
    def single(cls) -> "Topology":
        """One cluster, which the default environment brings up."""
        return cls()

    @property
    def networks(self) -> tuple[str, ...]:
        """Distinct networks in order."""
        return tuple(dict.fromkeys(cluster.network for cluster in self.clusters))
