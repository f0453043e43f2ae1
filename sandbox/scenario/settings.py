"""The settings of a society that are not the scenario's: who hears whom, and how agents speak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from sandbox.errors import ScenarioError, nearest

Audience = Literal["local", "local_global", "global"]
GRIDS = ("euclidean", "moore", "von_neumann")
NETWORKS = ("small_world", "scale_free", "random")


@dataclass(frozen=True)
class SocietySettings:
    """How agents meet and speak. Defaults are those of arXiv:2305.16960 where it gives them.

    Attributes:
        audience: Who reviews: ``local`` (neighbours), ``local_global`` (a share of the neighbours, filled up from
            everyone else), ``global`` (anyone).
        reviewers: Reviews of a draft at most (k in the paper).
        dropout: Share of the neighbours left out under ``local_global``, in [0, 1).
        neighborhood: How distance is measured on the grid: ``euclidean``, ``moore`` or ``von_neumann``. Or a
            network instead of a grid: ``small_world`` (Watts-Strogatz), ``scale_free`` (Barabasi-Albert), ``random``
            (Erdos-Renyi), or a .graphml or edge-list file.
        radius: How far neighbours live: in cells, by default half the grid's side; in steps on a network, by default 1.
        degree: Mean number of links of an agent in a network that is drawn.
        torus: Whether the edges of the grid meet.
        agents: How many there are; by default one for each cell, or for each node of a network. Others than one a cell
            are placed at random.
        capacity: Agents in a cell at most.
        movement: Share of the agents that move to a free place nearby after each round, in [0, 1].
        active: Share of the agents that are asked in a round, in (0, 1].
        prior_memories: Question-answer pairs an agent is born with, at most.
        recall_distance: Cosine distance under which a remembered question is told to the agent, in [0, 2].
        score_only: Neighbours give a rating and no reason.
        max_tokens: Length of an answer, in tokens.
        reason_tokens: Length of a neighbour's reason, in tokens.
        temperature: Of answers and reasons; 0 is greedy.
        top_p: Of answers and reasons, in (0, 1].
        embedder: What embeds questions for memory and answers for the ``values`` rater; by default ``minilm``.
        observer_rater: Who rates for observers; by default the same kind as for neighbours.
    """

    audience: Audience = "local"
    reviewers: int = 4
    dropout: float = 0.5
    neighborhood: str = "euclidean"
    radius: int | None = None
    degree: int = 4
    torus: bool = False
    agents: int | None = None
    capacity: int = 1
    movement: float = 0.0
    active: float = 1.0
    prior_memories: int = 50
    recall_distance: float = 0.3
    score_only: bool = False
    max_tokens: int = 48
    reason_tokens: int = 24
    temperature: float = 0.8
    top_p: float = 0.95
    embedder: str | None = None
    observer_rater: str | None = None

    @property
    def on_grid(self) -> bool:
        """Whether agents live on a grid rather than in a network."""
        return self.neighborhood in GRIDS

    def count(self, size: int) -> int:
        """How many agents there are on a grid, or in a drawn network, of ``size`` x ``size`` places."""
        return size * size if self.agents is None else self.agents

    def check(self, size: int) -> None:
        """Refuse settings that cannot work on ``size`` x ``size`` places, all faults at once.

        Raises:
            ScenarioError: says which settings would work.
        """
        faults = [
            f"{name}={getattr(self, name)} must be {words}"
            for name, (holds, words) in _RANGES.items()
            if not holds(getattr(self, name))
        ]
        if self.audience not in ("local", "local_global", "global"):
            faults.append(f"audience={self.audience!r} must be local, local_global or global")
        is_file = Path(self.neighborhood).suffix in (".graphml", ".edgelist", ".txt", ".csv")
        if not self.on_grid and self.neighborhood not in NETWORKS and not is_file:
            known = (*GRIDS, *NETWORKS)
            faults.append(
                f"neighborhood={self.neighborhood!r} must be {', '.join(known)}, or a .graphml or .edgelist file."
                f"{nearest(self.neighborhood, known)}"
            )
        n = self.count(size)
        if not is_file:
            faults += self._quota(size, n)
        if faults:
            raise ScenarioError("this society cannot be set up:\n" + "\n".join(f"  {f}" for f in faults))

    def _quota(self, size: int, n: int) -> list[str]:
        if n < 2:
            return [f"{n} agent has nobody to listen to; use --size 2 or more, or agents=2 or more"]
        if n > size * size * self.capacity:
            fits = size
            while fits * fits * self.capacity < n:
                fits += 1
            return [
                f"{n} agents do not fit on {size}x{size} places with {self.capacity} each; use --size {fits}, "
                f"capacity={-(-n // (size * size))}, or at most {size * size * self.capacity} agents"
            ]
        return self.quota_faults(n)

    def quota_faults(self, n: int) -> list[str]:
        """What is wrong with the number of reviewers among ``n`` agents."""
        if self.audience == "local" or self.reviewers < n:
            return []
        return [
            f"audience {self.audience!r} asks {self.reviewers} reviewers of each agent but there are only {n - 1} "
            f"others; use reviewers={n - 1} or fewer, a larger --size, or audience=local"
        ]


_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "reviewers": (lambda v: v >= 1, "at least 1"),
    "dropout": (lambda v: 0 <= v < 1, "in [0, 1)"),
    "radius": (lambda v: v is None or v >= 1, "at least 1"),
    "degree": (lambda v: v >= 1, "at least 1"),
    "agents": (lambda v: v is None or v >= 1, "at least 1"),
    "capacity": (lambda v: v >= 1, "at least 1"),
    "movement": (lambda v: 0 <= v <= 1, "in [0, 1]"),
    "active": (lambda v: 0 < v <= 1, "in (0, 1]"),
    "prior_memories": (lambda v: v >= 0, "0 or more"),
    "recall_distance": (lambda v: 0 <= v <= 2, "in [0, 2]"),
    "max_tokens": (lambda v: v >= 1, "at least 1"),
    "reason_tokens": (lambda v: v >= 1, "at least 1"),
    "temperature": (lambda v: v >= 0, "0 or more"),
    "top_p": (lambda v: 0 < v <= 1, "in (0, 1]"),
}
SOCIETY_SETTINGS = tuple(f.name for f in fields(SocietySettings))
