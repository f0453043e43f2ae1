"""Societies in networks: drawn ones, those of a file, and who is near in them."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mesa import Model
from mesa.discrete_space import CellAgent

from sandbox.errors import DataFileError, RunExists, ScenarioError
from sandbox.scenario.settings import SocietySettings
from sandbox.society.neighborhood import SocialGrid, SocialNetwork
from sandbox.society.network_files import read_network
from sandbox.society.space import make_space, network
from sandbox.world import World

MakeWorld = Callable[..., World]
KINDS = ("small_world", "scale_free", "random")


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(KINDS), st.integers(2, 60), st.integers(1, 8), st.integers(0, 999))
def test_drawn_networks_leave_nobody_alone(kind: str, n: int, degree: int, seed: int) -> None:
    """Nodes are 0 to n - 1, everybody has a neighbour, none is its own; the same seed draws the same."""
    drawn = network(kind, n, degree, seed)
    assert sorted(drawn) == list(range(n))
    assert min(dict(drawn.degree()).values()) >= 1
    assert nx.number_of_selfloops(drawn) == 0
    assert set(drawn.edges) == set(network(kind, n, degree, seed).edges)


def test_drawn_networks_are_what_they_are_called() -> None:
    """400 nodes of mean degree 6. Watts-Strogatz: clustered far above chance (6/400), Barabasi-Albert: a hub of many
    times the mean degree, Erdos-Renyi: neither."""
    small, free, plain = (network(kind, 400, 6, 1) for kind in KINDS)
    for drawn in (small, free, plain):
        assert 2 * drawn.number_of_edges() / 400 == pytest.approx(6, rel=0.1)
    assert nx.average_clustering(small) > 0.3
    assert nx.is_connected(small)
    assert max(dict(free.degree()).values()) > 30
    assert nx.average_clustering(plain) < 0.05
    assert max(dict(plain.degree()).values()) < 20


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(KINDS), st.integers(3, 25), st.integers(1, 3), st.integers(0, 99), st.integers(1, 2), st.data())
def test_neighbours_are_those_within_so_many_steps(
    kind: str, n: int, radius: int, seed: int, capacity: int, data: st.DataObject
) -> None:
    """Against networkx's shortest paths, with empty nodes and nodes that several share."""
    graph = network(kind, n, 4, seed)
    space = SocialNetwork(graph, radius=radius, capacity=capacity, random=random.Random(0))
    slots = [node for node in graph for _ in range(capacity)]
    homes = data.draw(st.permutations(slots))[: data.draw(st.integers(1, len(slots)))]
    model = Model(seed=0)
    agents = [CellAgent(model) for _ in homes]
    for agent, home in zip(agents, homes, strict=True):
        agent.move_to(space.places()[home])
    center, home = agents[0], homes[0]
    apart = nx.single_source_shortest_path_length(graph, home, cutoff=radius)
    expected = {a for a, node in zip(agents, homes, strict=True) if node in apart and a is not center}
    found = space.neighbors(center)
    assert set(found) == expected
    assert len(found) == len(expected)
    free = {place.coordinate for place in space.free_near(center)}
    assert free == {node for node in apart if node != home and homes.count(node) < capacity}


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["euclidean", "moore", "von_neumann"]), st.integers(2, 6), st.integers(1, 4), st.booleans(),
    st.integers(1, 3), st.data(),
)  # fmt: skip
def test_several_agents_a_cell_and_empty_cells(
    kind: str, side: int, radius: int, torus: bool, capacity: int, data: st.DataObject
) -> None:
    """On a grid too: neighbours are all agents in cells within the radius, and those of the own cell."""
    space = SocialGrid((side, side), kind=kind, radius=radius, torus=torus, capacity=capacity, random=random.Random(0))
    slots = [place for place in space.places() for _ in range(capacity)]
    homes = data.draw(st.permutations(slots))[: data.draw(st.integers(1, len(slots)))]
    model = Model(seed=0)
    agents = [CellAgent(model) for _ in homes]
    for agent, home in zip(agents, homes, strict=True):
        agent.move_to(home)
    center, home = agents[0], homes[0]
    near = {home.coordinate, *space.coordinates(home.coordinate, radius)}
    assert {a for a in agents if a is not center and a.cell.coordinate in near} == set(space.neighbors(center))
    assert len(space.neighbors(center)) == len(set(space.neighbors(center)))
    counts = [homes.count(place) for place in space.places()]
    free = {p.coordinate for p, held in zip(space.places(), counts, strict=True) if held < capacity}
    assert {p.coordinate for p in space.free_near(center)} == free & (near - {home.coordinate})


@pytest.mark.parametrize("suffix", ["graphml", "edgelist"])
def test_a_network_of_a_file_is_lived_in(tiny_world: MakeWorld, tmp_path: Path, suffix: str) -> None:
    """A ring of five people by name: as many agents, each reviewed by the two beside it."""
    ring = nx.cycle_graph(["ann", "bob", "cy", "dee", "eve"])
    path = tmp_path / f"ring.{suffix}"
    (nx.write_graphml if suffix == "graphml" else nx.write_edgelist)(ring, path)
    world = tiny_world(neighborhood=str(path))
    run = world.run(2)
    assert len(run.interactions(0)) == len(world.members) == 5
    told = [{f.reviewer for f in i.feedback} for i in run.interactions(0)]
    names = list(nx.read_graphml(path) if suffix == "graphml" else nx.read_edgelist(path))
    assert told == [{names.index(other) for other in ring[name]} for name in names]
    assert run.manifest["network"]["links"] == 5
    assert len(set(run.positions(0)[["x", "y"]].itertuples(index=False, name=None))) == 5


def test_a_file_that_changed_is_another_society(tiny_world: MakeWorld, tmp_path: Path) -> None:
    path = tmp_path / "net.edgelist"
    path.write_text("a b\nb c\nc a\n")
    tiny_world(neighborhood=str(path)).close()
    path.write_text("a b\nb c\n")
    with pytest.raises(RunExists, match=r"network\.links was 3, now 2; network\.hash was "):
        tiny_world(neighborhood=str(path), resume=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read: No such file or directory"),
        ("<graphml", "is not GraphML: "),
        ("", "is not GraphML: "),
    ],
)
def test_a_file_that_is_no_network_is_refused(
    tiny_world: MakeWorld, tmp_path: Path, text: str | None, words: str
) -> None:
    path = tmp_path / "net.graphml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataFileError, match=words):
        tiny_world(neighborhood=str(path))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("0 1\n1 2\n2 3\n3 0\n", []),
        ("\ufeff0\t1\r\n1\t2\r\n2\t3\r\n3\t0\r\n", []),
        ("0,1\n1,2\n2,3\n3,0\n", []),
        ("0, 1\n1, 2\n2, 3\n3, 0\n", []),
        ("0;1\n1;2\n2;3\n3;0\n", []),
        ("% asym\n# ring\n\n0 1 # first\n1 2\n2 3\n3 0\n", []),
        ("source,target\n0,1\n1,2\n2,3\n3,0\n", ["the first line (source, target) is taken as a header"]),
        ("A B\n0 1\n1 2\n2 3\n3 0\n", ["the first line (A, B) is taken as a header"]),
        ("Id,Source,Target,Type\n9,a,b,Undirected\n8,b,c,Undirected\n7,c,d,Undirected\n6,d,a,Undirected\n",
         ["the first line (Id, Source, Target, Type) is taken as a header",
          "1 more column per link not used"]),
        ('"Ann Lee","Bo, Ray"\n"Bo, Ray",Cy\nCy,Dee\nDee,Ann Lee\n', []),
        ("0 1 0.5\n1 2 2.5\n2 3 1\n3 0 1\n", ["the third column is taken as weights of the links"]),
        ("0;1;0,5\n1;2;2,5\n2;3;1\n3;0;1\n", ["the third column is taken as weights of the links"]),
        ("a b {'weight': 0.5}\nb c {}\nc d {}\nd a {}\n", ["3 links have no weight and count as 1"]),
        ("0 1\n1 2\n2 3\n3 0\n0 0\n1 1\n0 1\n",
         ["1 repeated link counts once", "2 links from a node to itself dropped"]),
    ],
)  # fmt: skip
def test_edge_lists_as_people_have_them(tmp_path: Path, content: str, told: list[str]) -> None:
    """All are a ring of four."""
    path = tmp_path / "ring.csv"
    path.write_text(content, encoding="utf-8")
    graph, notes = read_network(path)
    assert sorted(map(sorted, graph.edges)) == [[0, 1], [0, 3], [1, 2], [2, 3]]
    assert notes == [f"network ring.csv: {note}" for note in told]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("0 1\n1\n", "line 2 is '1'; expected two names of nodes per line"),
        ("0 1\n1 2 0.5\n", "line 2 is '1 2 0.5'; expected two names"),
        ("# names\nAnn Lee Bo\nBo Cy Dee\n", "line 2 is 'Ann Lee Bo'; expected two names"),
        ("0,1\n1,\n", "line 2 is '1 '; expected two names"),
        ("# nothing\n", "holds no links; expected two names"),
        ("source,target\n", "has 0 nodes; a society needs at least 2"),
        ('a,b\n"c,d\n', "line 2 is '\"c,d', which cannot be read"),
    ],
)
def test_edge_lists_that_cannot_be_read_are_refused_by_line(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "net.edgelist"
    path.write_text(content)
    with pytest.raises(DataFileError) as refused:
        read_network(path)
    assert words in str(refused.value)


@pytest.mark.parametrize("suffix", ["graphml", "gexf", "gml"])
def test_a_directed_graph_says_how_it_is_taken(tiny_world: MakeWorld, tmp_path: Path, suffix: str) -> None:
    """Of four links two join the same pair; one leads from a node to itself."""
    graph = nx.DiGraph()
    graph.add_weighted_edges_from([("a", "b", 1.0), ("b", "a", 1.0), ("b", "c", 2.0), ("c", "c", 1.0)])
    path = tmp_path / f"net.{suffix}"
    getattr(nx, f"write_{suffix}")(graph, path)
    world = tiny_world(neighborhood=str(path), audience="local")
    assert sorted(map(sorted, world.space.G.edges)) == [[0, 1], [1, 2]]
    assert [note.removeprefix(f"network net.{suffix}: ") for note in world.notes] == [
        "1 link from a node to itself dropped",
        "directions are not used: 2 pairs of agents with a link in either direction, or in both, are neighbours of each other; "
        "hears=successors or hears=predecessors uses them",
    ]
    assert world.run(1).manifest["notes"] == world.notes


def test_a_network_of_one_or_with_lone_nodes_is_refused(tmp_path: Path) -> None:
    one = tmp_path / "one.graphml"
    nx.write_graphml(nx.empty_graph(1), one)
    with pytest.raises(DataFileError, match="has 1 nodes; a society needs at least 2"):
        network(str(one), 4, 4, 0)
    lone = tmp_path / "lone.graphml"
    graph = nx.path_graph(3)
    graph.add_nodes_from([7, 8])
    nx.write_graphml(graph, lone)
    society = SocietySettings(neighborhood=str(lone))
    with pytest.raises(ScenarioError) as refused:
        make_space(society, 4, random=random.Random(0), seed=0)
    assert str(refused.value) == (
        "this society cannot be set up:\n"
        "  2 nodes have no neighbours, for example node 3; use audience=local_global, or remove them"
    )


def test_what_does_not_fit_into_a_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.graphml"
    nx.write_graphml(nx.path_graph(3), path)
    with pytest.raises(ScenarioError) as refused:
        make_space(
            SocietySettings(neighborhood=str(path), agents=7, capacity=2, audience="global", reviewers=9), 4,
            random=random.Random(0), seed=0,
        )  # fmt: skip
    assert str(refused.value).splitlines()[1:] == [
        "  audience 'global' needs 9 reviewers per agent but there are only 6 others; use reviewers=6 or fewer, a "
        "larger --size, or audience=local",
        "  7 agents do not fit on 3 nodes with 2 each",
    ]


def test_agents_move_along_the_links(tiny_world: MakeWorld) -> None:
    """Ten nodes of two places and ten agents: whoever moved went to a node linked to its own, and no node holds three."""
    world = tiny_world(neighborhood="small_world", agents=10, capacity=2, movement=1.0)
    run = world.run(4)
    moved = 0
    for round_ in range(4):
        before, after = (
            [4 * x + y for x, y in run.positions(r)[["x", "y"]].itertuples(index=False)] for r in (round_, round_ + 1)
        )
        assert max(map(after.count, after)) <= 2
        for a, b in zip(before, after, strict=True):
            assert a == b or world.space.G.has_edge(a, b)
            moved += a != b
    assert moved > 10


def test_agents_without_neighbours_are_told_of(tiny_world: MakeWorld) -> None:
    """Two agents on 81 cells with a radius of one are alone, most likely; nobody reviews them, and that is no failure."""
    world = tiny_world(size=9, agents=2, radius=1, seed=3)
    assert world.notes == ["2 agents have no neighbours at the start, and thus no reviewers"]
    run = world.run(1)
    assert [(i.feedback, i.error) for i in run.interactions()] == [((), None)] * 2
    assert run.manifest["notes"] == world.notes


def test_a_scenarios_own_movement(tiny_world: MakeWorld) -> None:
    """Everybody follows agent 0 into the first free cell near it, and it stays: given the agent and the world."""
    from dataclasses import replace

    from sandbox.scenario.loading import load_scenario

    def follow(agent: object, world: World) -> object:
        free = world.space.free_near(world.members[0])
        return free[0] if agent is world.members[1] and free else None

    scenario = replace(load_scenario("value_alignment", {}), move=follow)
    world = tiny_world(scenario, size=5, agents=5, radius=1, audience="global", reviewers=2)
    run = world.run(2)
    home = world.members[0].cell.coordinate
    assert world.members[1].cell.coordinate in world.space.coordinates(home, 1)
    changed = run.positions(2)["x"].ne(run.positions(0)["x"]) | run.positions(2)["y"].ne(run.positions(0)["y"])
    assert set(run.agents()["agent"][changed]) <= {1}
