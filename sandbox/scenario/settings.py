"""Settings of a society: space, audience, movement, memory, and sampling of answers."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from sandbox.errors import ScenarioError, nearest
from sandbox.typed_settings import at_least, between, refuse, setting_faults

Audience = Literal["local", "local_global", "global"]
Hears = Literal["both", "successors", "predecessors"]
GRIDS = ("euclidean", "moore", "von_neumann")
NETWORKS = ("small_world", "scale_free", "random")
# The last are edge lists.
NETWORK_FILES = (".graphml", ".gexf", ".gml", ".edgelist", ".edges", ".txt", ".csv", ".tsv")

DEFAULT_SIZE = 4
MAX_SIZE = 1000
MAX_AGENTS = MAX_SIZE**2


@dataclass(frozen=True)
class SocietySettings:
    """Settings of a society. Defaults are those of arXiv:2305.16960 where it gives them.

    Attributes:
        audience: Who reviews: ``local`` (neighbours), ``local_global`` (a share of the neighbours, filled up from
            everyone else), ``global`` (anyone).
        reviewers: Maximum number of reviews of a draft (k in the paper).
        dropout: Share of the neighbours left out with ``local_global``, in [0, 1).
        neighborhood: Metric of the grid: ``euclidean``, ``moore`` or ``von_neumann``. Or a network in place of the
            grid: ``small_world`` (Watts-Strogatz), ``scale_free`` (Barabasi-Albert), ``random``
            (Erdos-Renyi), or a file: .graphml, .gexf, .gml, or an edge list.
        radius: Maximum distance of neighbours: in cells, by default half the (shorter) side of the grid; in a network in
            steps, by default 1.
        hears: In a network of a file whose links have a direction, whom an agent hears, so that they are its neighbours:
            ``both`` ends of its links, ``successors`` (those that its links lead to, as those that one follows) or
            ``predecessors`` (those whose links lead to it).
        weighted: Whether an agent's reviewers among its neighbours are drawn in proportion to the weights of the links to them,
            rather than uniformly; links of weight 0 are never drawn. For networks of files with weights.
        degree: Mean number of links of an agent in a generated network.
        torus: Whether opposite edges of the grid are joined.
        rows: Number of rows of a grid that is not square, with ``columns`` in place of ``size``.
        columns: Number of its columns.
        agents: Number of agents; by default one per cell of the grid, or per node of the network. Any other number is
            placed at random.
        capacity: Maximum number of agents in a cell.
        movement: Share of the agents that move to a free cell nearby after each round, in [0, 1].
        active: Share of the agents that are asked in a round, in (0, 1].
        prior_memories: Maximum number of question-answer pairs that an agent starts with.
        recall_distance: Maximum cosine distance at which a remembered question enters the prompt, in [0, 2]; 0.3 in the
            paper, whose embedder puts questions nearer to each other than ``minilm`` does.
        recall_share: Share of the scenario's questions for which an agent's upbringing holds one within recall_distance,
            in [0, 1]; in its place, sets it to the distance that fits the embedder and the questions.
        recall_turns: Maximum number of remembered answers within recall_distance that precede the question as earlier turns
            of the conversation, the nearest last; 0 puts the nearest into the prompt instead, as in the paper.
        candidates: Number of drafts, and of revisions, that an agent writes in Back-Scatter to give the one that it rates
            highest itself; by default that of the rater: 4 for ``values``, 1 for others. The paper's is 1.
        keep_draft: Whether an agent gives its draft again where it rates no revision higher; by default with several
            candidates. The paper's agents always take the revision (False).
        score_only: Whether neighbours give a rating without a reason.
        max_tokens: Maximum length of an answer, in tokens.
        reason_tokens: Maximum length of a reason, in tokens.
        temperature: Sampling temperature of answers and reasons; 0 is greedy decoding.
        top_p: Nucleus of answers and reasons, in (0, 1].
        embedder: Embedder of questions, for memory, and of answers, for the ``values`` rater; by default ``minilm``.
        observer_rater: Rater used by observers; by default the same kind as for neighbours.
        memory: What agents remember, and recall in their prompts: ``nearest`` (the nearest own answer, as in the paper),
            ``stream`` (the best of all answers and all that was heard, by recency, importance and relevance) or ``summary``
            (rewritten by the agent's model every few rounds). Settings of a memory begin with ``memory.``, for example
            ``memory.items=5``.
        memory_settings: Settings of the memory, where they are given as a mapping.
    """

    audience: Audience = "local"
    reviewers: Annotated[int, at_least(1)] = 4
    dropout: Annotated[float, between(0, 1, "[)")] = 0.5
    neighborhood: str = "euclidean"
    radius: Annotated[int | None, at_least(1)] = None
    hears: Hears = "both"
    weighted: bool = False
    degree: Annotated[int, at_least(1)] = 4
    torus: bool = False
    rows: Annotated[int | None, between(1, MAX_SIZE)] = None
    columns: Annotated[int | None, between(1, MAX_SIZE)] = None
    agents: Annotated[int | None, at_least(1)] = None
    capacity: Annotated[int, at_least(1)] = 1
    movement: Annotated[float, between(0, 1)] = 0.0
    active: Annotated[float, between(0, 1, "(]")] = 1.0
    prior_memories: Annotated[int, at_least(0)] = 50
    recall_distance: Annotated[float, between(0, 2)] = 0.3
    recall_share: Annotated[float | None, between(0, 1)] = None
    recall_turns: Annotated[int, between(0, 32)] = 0
    candidates: Annotated[int | None, between(1, 64)] = None
    keep_draft: bool | None = None
    score_only: bool = False
    max_tokens: Annotated[int, at_least(1)] = 48
    reason_tokens: Annotated[int, at_least(1)] = 24
    temperature: Annotated[float, at_least(0)] = 0.8
    top_p: Annotated[float, between(0, 1, "(]")] = 0.95
    embedder: str | None = None
    observer_rater: str | None = None
    memory: str = "nearest"
    memory_settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def on_grid(self) -> bool:
        """Whether the society is on a grid rather than in a network."""
        return self.neighborhood in GRIDS

    @property
    def in_file(self) -> bool:
        """Whether the society is in a network that is read from a file."""
        return Path(str(self.neighborhood)).suffix in NETWORK_FILES  # one of another type is a fault of its own

    def shape(self, size: int) -> tuple[int, int]:
        """Rows and columns of the grid; ``size`` of each unless they are given."""
        return (size, size) if self.rows is None or self.columns is None else (self.rows, self.columns)

    def count(self, size: int) -> int:
        """Number of agents on a grid of side ``size``, or of the rows and columns given; or in a generated network."""
        rows, columns = self.shape(size)
        return rows * columns if self.agents is None else self.agents

    def check(self, size: int) -> None:
        """Refuse settings that are invalid or do not fit the cells of the grid, all faults at once.

        Raises:
            ScenarioError: names settings that would work.
        """
        faults = setting_faults(self)
        is_file = self.in_file
        if not self.on_grid and self.neighborhood not in NETWORKS and not is_file:
            known = (*GRIDS, *NETWORKS)
            faults.append(
                f"neighborhood={self.neighborhood!r} must be {', '.join(known)}, or a file of a network "
                f"({', '.join(NETWORK_FILES)})."
                f"{nearest(self.neighborhood, known)}"
            )
        of_shape = self._shape_faults()
        faults += of_shape
        if not is_file:
            faults += [] if of_shape else self._quota(size, self.count(size))
            given = {"hears": self.hears != "both", "weighted": self.weighted}
            faults += [
                f"{name} is for networks of files, and neighborhood={self.neighborhood!r} is none; leave it out, or use "
                f"neighborhood=FILE ({', '.join(NETWORK_FILES)})"
                for name, is_given in given.items()
                if is_given
            ]
        refuse("this society cannot be set up", faults, ScenarioError)

    def _shape_faults(self) -> list[str]:
        given = [f"{name}={value}" for name in ("rows", "columns") if (value := getattr(self, name)) is not None]
        if given and not self.on_grid:
            return [
                f"{' and '.join(given)} are of a grid, and neighborhood={self.neighborhood!r} is a network; leave them out, "
                "and give size or agents"
            ]
        if len(given) == 1:
            other = "columns" if self.columns is None else "rows"
            return [f"{given[0]} needs {other} too; give both, or size=N for a square"]
        return []

    def _quota(self, size: int, n: int) -> list[str]:
        rows, columns = self.shape(size)
        if not 0 <= size <= MAX_SIZE:
            return [f"size={size} must be from 1 to {MAX_SIZE}"]
        if n > MAX_AGENTS:
            return [f"{n} agents are too many; use at most {MAX_AGENTS}"]
        if n < 2:
            return [f"a society needs at least 2 agents, not {n}; use --size 2 or more, or agents=2 or more"]
        cells = rows * columns
        if n > cells * self.capacity > 0:  # another capacity is a fault of its own
            fits = min(rows, columns)
            while fits * fits * self.capacity < n:
                fits += 1
            return [
                f"{n} agents do not fit on {rows}x{columns} places with {self.capacity} each; use --size {fits}, "
                f"capacity={-(-n // cells)}, or at most {cells * self.capacity} agents"
            ]
        return self.quota_faults(n)

    def quota_faults(self, n: int) -> list[str]:
        """List the faults of the number of reviewers among ``n`` agents."""
        if self.audience == "local" or self.reviewers < n:
            return []
        return [
            f"audience {self.audience!r} needs {self.reviewers} reviewers per agent but there are only {n - 1} "
            f"others; use reviewers={n - 1} or fewer, a larger --size, or audience=local"
        ]


def recorded_shape(manifest: Mapping[str, Any]) -> tuple[int, int]:
    """Rows and columns of the grid of a run, by its manifest; of a network 1 and 1."""
    settings, size = manifest.get("settings", {}), manifest.get("size", 1)
    if settings.get("neighborhood") not in GRIDS:
        return 1, 1
    return int(settings.get("rows") or size), int(settings.get("columns") or size)


def recorded_size(manifest: Mapping[str, Any]) -> int | None:
    """The argument ``size`` of a run, by its manifest; None if it had rows and columns instead."""
    return None if manifest.get("settings", {}).get("rows") else operator.index(manifest["size"])


def recorded_scenario(manifest: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Name or path of the scenario of a run, by its manifest (None if it was given as an object), and its own settings."""
    source = manifest.get("scenario_source", {"scenario": manifest["scenario"], "settings": {}})
    found = source["scenario"]
    if not isinstance(found, str | None):
        raise TypeError(f"{found!r} is no scenario")
    return found, dict(source["settings"])


def is_society_setting(name: str) -> bool:
    """Whether a setting is one of the society, or of its memories (``memory.items``)."""
    return name in SOCIETY_SETTINGS or name.startswith("memory.")


def with_memory_settings(given: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Settings of a society with those of its memory (``memory.items``) gathered in ``memory_settings``.

    Args:
        given: Settings.
        before: Defaults of the scenario; those of another memory are left out.
    """
    defaults, given = dict(before or {}), dict(given)
    if "memory" in given and given["memory"] == getattr(defaults.get("memory"), "__name__", None):
        given["memory"] = defaults["memory"]  # a class of the scenario, by the name that manifests give it
    if "memory" in given and given["memory"] != defaults.get("memory", "nearest"):
        defaults = {name: value for name, value in defaults.items() if not name.startswith(("memory.", "memory_"))}
    own: dict[str, Any] = {}
    for several in (defaults, given):
        own |= several.get("memory_settings", {})
        own |= {name.partition(".")[2]: value for name, value in several.items() if name.startswith("memory.")}
    whole = {name: value for name, value in {**defaults, **given}.items() if not name.startswith("memory.")}
    return {**whole, "memory_settings": own} if own else whole


SOCIETY_SETTINGS = tuple(f.name for f in fields(SocietySettings))
