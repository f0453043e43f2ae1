"""Networks of files as they are: who hears whom, weights of links, and names and attributes of nodes."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from sandbox import Personas, Prompts, Scenario, open_run
from sandbox.errors import DataFileError, RunExists, ScenarioError
from sandbox.scenario.loading import load_scenario
from sandbox.scenario.settings import SocietySettings
from sandbox.society.network_files import read_network
from sandbox.society.space import make_space
from sandbox.world import World

MakeWorld = Callable[..., World]
# ann and bob follow cy, cy follows dee, dee follows nobody.
FOLLOWS = 'source,target,weight\nann,cy,3\nbob,cy,1\ncy,dee,"0.5"\n'
FRIENDS = """graph [
  directed 1
  node [ id 7 label "Ann" age 31 dept "sales" ]
  node [ id 8 label "Bob" age 58 dept "lab" graphics [ x 1.0 ] ]
  node [ id 9 label "Cy" age 44 dept "lab" ]
  edge [ source 7 target 8 value 2 ]
  edge [ source 8 target 9 value 4 since 1999 ]
  edge [ source 7 target 8 value 3 ]
  edge [ source 9 target 9 value 1 ]
]
"""


def heard(world: World) -> dict[str, list[str]]:
    return {agent.name: [other.name for other in world.space.neighbors(agent)] for agent in world.members}


@pytest.mark.parametrize(
    ("hears", "expected"),
    [
        ("both", {"ann": ["cy"], "cy": ["ann", "bob", "dee"], "bob": ["cy"], "dee": ["cy"]}),
        ("successors", {"ann": ["cy"], "cy": ["dee"], "bob": ["cy"], "dee": []}),
        ("predecessors", {"ann": [], "cy": ["ann", "bob"], "bob": [], "dee": ["cy"]}),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "graphml", "gexf", "gml"])
def test_who_hears_whom(
    tiny_world: MakeWorld, tmp_path: Path, suffix: str, hears: str, expected: dict[str, list[str]]
) -> None:
    path = tmp_path / f"net.{suffix}"
    graph = nx.DiGraph()
    graph.add_weighted_edges_from([("ann", "cy", 3.0), ("bob", "cy", 1.0), ("cy", "dee", 0.5)])
    if suffix == "csv":
        path.write_text(FOLLOWS)
    else:
        getattr(nx, f"write_{suffix}")(graph, path)
    world = tiny_world(neighborhood=str(path), hears=hears)
    assert {name: sorted(near) for name, near in heard(world).items()} == expected
    run = world.run(1)
    reviewers = {world.members[it.agent].name: {f.reviewer for f in it.feedback} for it in run.interactions()}
    index = {agent.name: agent.index for agent in world.members}
    assert reviewers == {name: {index[other] for other in near} for name, near in expected.items()}
    assert run.manifest["settings"]["hears"] == hears
    assert run.manifest["network"]["directed"] is True
    kept = run.network()
    assert kept is not None
    names = nx.get_node_attributes(kept, "name")
    assert {(names[a], names[b], w) for a, b, w in kept.edges(data="weight")} == set(graph.edges(data="weight"))


def test_the_weight_is_that_of_the_link_by_which_one_hears(tiny_world: MakeWorld, tmp_path: Path) -> None:
    path = tmp_path / "net.csv"
    path.write_text(FOLLOWS + "cy,ann,9\n")

    def weights(**settings: Any) -> dict[tuple[str, str], float]:
        world = tiny_world(neighborhood=str(path), **settings)
        found = {(a.name, b.name): world.weight(a, b) for a in world.members for b in world.members}
        world.close()
        return {pair: weight for pair, weight in found.items() if weight}

    follows = {("ann", "cy"): 3.0, ("bob", "cy"): 1.0, ("cy", "dee"): 0.5, ("cy", "ann"): 9.0}
    assert weights(hears="successors", out=tmp_path / "s") == follows
    assert weights(hears="predecessors", out=tmp_path / "p") == {(b, a): w for (a, b), w in follows.items()}
    both = follows | {("cy", "bob"): 1.0, ("dee", "cy"): 0.5}
    assert weights(out=tmp_path / "b") == both
    far = weights(hears="successors", radius=2, out=tmp_path / "r")
    assert far == follows | {("ann", "dee"): 1.0, ("bob", "dee"): 1.0, ("bob", "ann"): 1.0}


def test_neighbours_on_a_grid_weigh_one(tiny_world: MakeWorld) -> None:
    world = tiny_world(size=3, radius=1)
    middle = world.members[4]
    assert [world.weight(middle, other) for other in world.members] == [0, 1, 0, 1, 0, 1, 0, 1, 0]
    assert dict(world.node(middle)) == {}


def test_reviewers_are_drawn_by_weight(tiny_world: MakeWorld, tmp_path: Path) -> None:
    """One reviewer of three: weights 6, 3 and 1 give shares of 0.6, 0.3 and 0.1; a weight of 0 is never drawn."""
    path = tmp_path / "net.txt"
    path.write_text("me a 6\nme b 3\nme c 1\nme d 0\n")
    world = tiny_world(neighborhood=str(path), hears="successors", reviewers=1, weighted=True)
    counts: Counter[str] = Counter()
    for round_ in range(2000):
        world.round = round_
        counts[world.audience(world.members[0])[0].name] += 1
    assert counts["d"] == 0
    assert [counts[name] / 2000 for name in "abc"] == pytest.approx([0.6, 0.3, 0.1], abs=0.04)
    world.society = replace(world.society, reviewers=9)
    assert sorted(other.name for other in world.audience(world.members[0])) == ["a", "b", "c"]


def test_nodes_give_names_labels_and_columns_of_personas(tiny_world: MakeWorld, tmp_path: Path) -> None:
    path = tmp_path / "net.gml"
    path.write_text(FRIENDS)
    scenario = Scenario(
        name="friends",
        questions=["Tea?"],
        prompts=Prompts(answer_system="You are {name}, {node[age]}, of {node[dept]}."),
    )
    world = tiny_world(scenario, neighborhood=str(path), population="column:dept", hears="successors", audience="local")
    assert [(agent.name, agent.label, agent.persona["age"]) for agent in world.members] == [
        ("Ann", "sales", 31), ("Bob", "lab", 58), ("Cy", "lab", 44)
    ]  # fmt: skip
    assert dict(world.node(world.members[1])) == {"name": "Bob", "age": 58, "dept": "lab"}
    assert [note.removeprefix("network net.gml: ") for note in world.notes] == [
        "the attribute 'value' of the links is taken as their weights",
        "other attributes of links are not used: since",
        "1 repeated link counts once, with the sum of the weights",
        "1 link from a node to itself dropped",
        "the attribute 'graphics' of 1 node is dropped: it is neither text nor a number",
        "links have a direction: an agent hears those that its links lead to",
        "1 agent has no neighbours at the start, and thus no reviewers",
    ]
    assert world.weight(world.members[0], world.members[1]) == 5
    run = world.run(1)
    asked = [request.messages[0].content for request in world.lm.history]  # type: ignore[attr-defined]
    assert "You are Bob, 58, of lab." in asked
    frame = run.agents()
    assert (frame["age"].tolist(), frame["dept"].tolist()) == ([31, 58, 44], ["sales", "lab", "lab"])
    assert run.manifest["network"]["attributes"] == ["age", "dept", "name"]


def test_a_table_of_people_is_joined_by_name(tiny_world: MakeWorld, tmp_path: Path) -> None:
    path = tmp_path / "net.gml"
    path.write_text(FRIENDS)
    rows = [{"name": name, "job": job} for name, job in (("Cy", "cook"), ("Ann", "actor"), ("Bob", "baker"))]
    scenario = replace(
        load_scenario("value_alignment", {}), personas=Personas(rows, "You are a {job}.", source="people")
    )
    world = tiny_world(scenario, neighborhood=str(path))
    assert [(agent.name, agent.persona["job"]) for agent in world.members] == [
        ("Ann", "actor"), ("Bob", "baker"), ("Cy", "cook")
    ]  # fmt: skip
    assert "each node of the network has the persona of its name in people" in world.notes


def test_nodes_with_numbers_have_no_names(tiny_world: MakeWorld, tmp_path: Path) -> None:
    """Nor do labels that repeat the numbers, as networkx writes them into GEXF and GML."""
    for suffix in ("edgelist", "graphml", "gexf", "gml"):
        path = tmp_path / f"ring.{suffix}"
        getattr(nx, f"write_{suffix}")(nx.cycle_graph(4), path)
        world = tiny_world(neighborhood=str(path), out=tmp_path / suffix)
        assert [agent.name for agent in world.members] == ["Agent 1", "Agent 2", "Agent 3", "Agent 4"]
        assert [dict(agent.persona) for agent in world.members] == [{}] * 4
        world.close()


@pytest.mark.parametrize(
    ("text", "links", "notes"),
    [
        # As polblogs.gml: repeated links, and nothing that says so.
        ('Creator "M"\ngraph\n[\n directed 0\n node [ id 1 label "a" ]\n node [ id 2 label "b" ]\n'
         " edge [ source 1 target 2 ]\n edge [ source 2 target 1 ]\n]\n", 1, ["1 repeated link counts once"]),
        # As many hand-made files: nodes without labels.
        ("graph [\n node [ id 1 ]\n node [ id 2 ]\n node [ id 3 ]\n edge [ source 1 target 2 ]\n]\n", 1, []),
        ('graph [\n node [ id 1 label "é" ]\n node [ id 2 label "é" ]\n edge [ source 1 target 2 ]\n]\n', 1, []),
    ],
)  # fmt: skip
def test_gml_as_it_is_found(tmp_path: Path, text: str, links: int, notes: list[str]) -> None:
    path = tmp_path / "net.gml"
    path.write_text(text, encoding="utf-8")
    graph, said = read_network(path)
    assert graph.number_of_edges() == links
    assert [note.removeprefix("network net.gml: ") for note in said] == notes


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("source,target,weight\n1,2,0.5\n2,3,1.5\n", {(0, 1): 0.5, (1, 2): 1.5}),
        ("Weight;Source;Target\n0,5;1;2\n1,5;2;3\n", {(0, 1): 0.5, (1, 2): 1.5}),
        ("1 2 {'weight': 0.5}\n2 3 {'weight': 1.5}\n", {(0, 1): 0.5, (1, 2): 1.5}),
        ("# a b w\n1 2 0.5 17\n2 3 1.5 18\n2 3 1\n".replace("2 3 1\n", "2 3 1 19\n"), {(0, 1): 0.5, (1, 2): 2.5}),
        ("source,target,year\n1,2,1999\n2,3,2001\n", {(0, 1): None, (1, 2): None}),
    ],
)
def test_weights_of_edge_lists(tmp_path: Path, content: str, expected: dict[tuple[int, int], float | None]) -> None:
    path = tmp_path / "net.csv"
    path.write_text(content)
    graph, _ = read_network(path)
    assert graph.is_directed()
    assert {(a, b): weight for a, b, weight in graph.edges(data="weight")} == expected


def test_a_weight_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.csv"
    path.write_text("source,target,weight\n1,2,0.5\n2,3,much\n")
    with pytest.raises(DataFileError, match=r"line 3: the weight 'much' is not a finite number"):
        read_network(path)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"neighborhood": "euclidean", "hears": "successors"},
         "hears is for networks of files, and neighborhood='euclidean' is none; leave it out, or use neighborhood=FILE"),
        ({"neighborhood": "small_world", "weighted": True}, "weighted is for networks of files"),
        ({"neighborhood": "ring.gml", "hears": "predecessors"},
         "hears='predecessors' needs links with a direction, and those of ring.gml have none; use hears=both"),
        ({"neighborhood": "ring.gml", "weighted": True}, "weighted=yes needs weights of links, and ring.gml has none"),
        ({"neighborhood": "signed.csv", "weighted": True},
         "weighted=yes needs weights of 0 or more; 1 links have less, for example -2"),
        ({"neighborhood": "ring.gml", "hears": "all"}, "hears='all'"),
    ],
)  # fmt: skip
def test_what_a_network_does_not_have_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    nx.write_gml(nx.cycle_graph(4), "ring.gml")
    Path("signed.csv").write_text("a,b,1\nb,c,-2\n")

    def make(society: SocietySettings) -> None:
        society.check(2)
        make_space(society, 2, random=random.Random(0), seed=0)

    with pytest.raises(ScenarioError) as refused:
        make(SocietySettings(**settings))
    assert words in str(refused.value)


def test_prompts_with_unknown_attributes_are_refused(tiny_world: MakeWorld, tmp_path: Path) -> None:
    path = tmp_path / "net.gml"
    path.write_text(FRIENDS)
    scenario = Scenario(name="s", questions=["Tea?"], prompts=Prompts(answer_system="You are {name}, {node[agee]}."))
    with pytest.raises(
        ScenarioError, match=r"uses \{node\[agee\]\}, which 3 of 3 nodes do not have.*Did you mean 'age'"
    ):
        tiny_world(scenario, neighborhood=str(path))


def test_changed_weights_or_attributes_are_another_society(tiny_world: MakeWorld, tmp_path: Path) -> None:
    path = tmp_path / "net.gml"
    path.write_text(FRIENDS)
    tiny_world(neighborhood=str(path)).close()
    for old, new, words in (("value 4", "value 5", r"network\.weights"), ("age 58", "age 59", r"network\.nodes_hash")):
        path.write_text(FRIENDS.replace(old, new))
        with pytest.raises(RunExists, match=words):
            tiny_world(neighborhood=str(path), resume=True)
    path.write_text(FRIENDS)
    with pytest.raises(RunExists, match=r"settings\.hears was 'both', now 'successors'"):
        tiny_world(neighborhood=str(path), hears="successors", resume=True)


def test_a_run_recorded_before_goes_on_as_it_began(tiny_world: MakeWorld, tmp_path: Path) -> None:
    """Its agents keep the names that they had, and its manifest lacks what is recorded now."""
    path = tmp_path / "net.gml"
    path.write_text(FRIENDS)
    world = tiny_world(neighborhood=str(path))
    world.run(1)
    world.close()
    manifest = json.loads((world.path / "manifest.json").read_text())
    for name in ("directed", "weights", "attributes", "nodes_hash", "directions"):
        del manifest["network"][name]
    del manifest["settings"]["hears"], manifest["settings"]["weighted"]
    (world.path / "manifest.json").write_text(json.dumps(manifest))
    import sqlite3

    db = sqlite3.connect(world.path / "run.sqlite")
    db.executescript("DROP TABLE nodes; DROP TABLE links; UPDATE agents SET persona='{}', name='Agent ' || (agent + 1)")
    db.close()
    assert open_run(world.path).network() is None
    replayed = tiny_world(neighborhood=str(path), model=f"replay:{world.path}", out=tmp_path / "replayed")
    assert [agent.name for agent in replayed.members] == ["Agent 1", "Agent 2", "Agent 3"]
    again = tiny_world(neighborhood=str(path), resume=True)
    assert [agent.name for agent in again.members] == ["Agent 1", "Agent 2", "Agent 3"]
    assert again.run(2).rounds == 2
    assert open_run(world.path).network() is not None


def test_resumed_and_branched_runs_hear_the_same(tiny_world: MakeWorld, tmp_path: Path) -> None:
    path = tmp_path / "net.csv"
    path.write_text(FOLLOWS)
    given = {"neighborhood": str(path), "hears": "predecessors"}
    whole = tiny_world(**given, out=tmp_path / "whole")
    whole.run(2)
    first = tiny_world(**given, out=tmp_path / "part")
    first.run(1)
    first.close()
    again = tiny_world(**given, out=tmp_path / "part", resume=True)
    again.run(2)
    other = tiny_world(**given, out=tmp_path / "branch", branch=f"{whole.path}@1")
    other.run(2)
    said = [[it.as_dict() for it in open_run(tmp_path / name).interactions()] for name in ("whole", "part", "branch")]
    assert said[0] == said[1] == said[2]
    assert heard(whole) == heard(again) == heard(other)
