"""Requirements: what a test needs of the world, as capabilities and counts, never as an environment's name. Pure."""

from collections.abc import Collection
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Offer:
    """What the world has: cluster and network counts, capabilities of the environment and of the mesh, and dialects."""

    clusters: int = 1
    networks: int = 1
    capabilities: frozenset[str] = frozenset()
    dialects: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Requirements:
    """Bounds are inclusive; max_clusters None means any number."""

    min_clusters: int = 0
    max_clusters: int | None = None
    min_networks: int = 0
    capabilities: frozenset[str] = field(default=frozenset())
    dialect: str | None = None

    def unmet(self, offer: Offer) -> list[str]:
        """One sentence for each requirement that does not hold; empty when the test can run."""
        reasons = []
        if offer.clusters < self.min_clusters:
            reasons.append(f"needs {self.min_clusters} clusters, there are {offer.clusters}")
        if self.max_clusters is not None and offer.clusters > self.max_clusters:
            reasons.append(f"takes at most {self.max_clusters} clusters, there are {offer.clusters}")
        if offer.networks < self.min_networks:
            reasons.append(f"needs {self.min_networks} networks, there are {offer.networks}")
        if missing := missing_of(self.capabilities, offer.capabilities):
            reasons.append(f"needs {', '.join(missing)}; there is {', '.join(sorted(offer.capabilities)) or 'nothing'}")
        if self.dialect is not None and self.dialect not in offer.dialects:
            reasons.append(f"speaks {self.dialect}, the mesh takes {', '.join(sorted(offer.dialects)) or 'none'}")
        return reasons

    def both(self, other: "Requirements") -> "Requirements":
        """What meets these and the other's."""
        maxima = [each for each in (self.max_clusters, other.max_clusters) if each is not None]
        return Requirements(
            min_clusters=max(self.min_clusters, other.min_clusters),
            max_clusters=min(maxima) if maxima else None,
            min_networks=max(self.min_networks, other.min_networks),
            capabilities=self.capabilities | other.capabilities,
            dialect=self.dialect or other.dialect,
        )


def missing_of(wanted: Collection[str], offered: Collection[str]) -> list[str]:
    """What is wanted and not offered, sorted."""
    return sorted(set(wanted) - set(offered))
