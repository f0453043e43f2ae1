"""The world: the same run whatever is in flight, whoever kills it, and wherever it goes on."""

from __future__ import annotations

import gc
import json
import signal
import sqlite3
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import SettingsError
from sandbox.models.base import Request
from sandbox.models.scripted import ScriptedModel
from sandbox.records import Interaction
from sandbox.scenario.rubric import Upbringing
from sandbox.scenario.scenario import Scenario
from sandbox.store.run import Run, open_run
from sandbox.world import World

MakeWorld = Callable[..., World]


def as_bytes(run: Run | Path) -> bytes:
    """All that a run says of its conversations, memories and measures, as bytes."""
    run = open_run(run) if isinstance(run, Path) else run
    told = [interaction.as_dict() for interaction in run.interactions()]
    minds = [run.memories(agent) for agent in run.agents()["agent"]]
    places = run.agents().to_dict("list")
    return json.dumps([told, minds, places, run.metrics()], ensure_ascii=False, sort_keys=True).encode()


def calls(path: Path) -> set[tuple[str, str]]:
    """Key and reply of every call that a run keeps."""
    with sqlite3.connect(path / "run.sqlite") as db:
        return set(db.execute("SELECT key, reply FROM calls"))


# -- the same run --------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes(tiny_world: MakeWorld, tmp_path: Path) -> None:
    first = tiny_world(out=tmp_path / "a").run(3)
    second = tiny_world(out=tmp_path / "b").run(3)
    assert as_bytes(first) == as_bytes(second)
    assert calls(tmp_path / "a") == calls(tmp_path / "b")


def test_another_seed_gives_another_run(tiny_world: MakeWorld, tmp_path: Path) -> None:
    first = tiny_world(out=tmp_path / "a").run(1)
    second = tiny_world(out=tmp_path / "b", seed=1).run(1)
    drafts = [[i.draft for i in run.interactions()] for run in (first, second)]
    assert all(a != b for a, b in zip(*drafts, strict=True))


@pytest.mark.parametrize("rater", ["lm", "values"])
def test_in_flight_changes_nothing(tiny_world: MakeWorld, tmp_path: Path, rater: str) -> None:
    """One conversation at a time, 7 of the 9, or all of them."""
    settings = {"rater": rater, "prior_memories": 4}
    runs = [tiny_world(out=tmp_path / f"{n}", in_flight=n, **settings).run(3) for n in (1, 7, 1000)]
    assert as_bytes(runs[0]) == as_bytes(runs[1]) == as_bytes(runs[2])
    assert calls(tmp_path / "1") == calls(tmp_path / "7") == calls(tmp_path / "1000")


def test_stepping_and_running_are_the_same(tiny_world: MakeWorld, tmp_path: Path) -> None:
    stepped = tiny_world(out=tmp_path / "a")
    for _ in range(3):
        stepped.step()
    assert (stepped.round, stepped.steps) == (3, 3)
    ran = tiny_world(out=tmp_path / "b")
    assert as_bytes(tmp_path / "a") == as_bytes(ran.run(3))
    ran.run(2)
    assert ran.round == 3


# -- killed and gone on with ---------------------------------------------------------------------------------------

SLOW = """
import sys
from sandbox.models.scripted import ScriptedModel
from sandbox.records import Interaction
from sandbox.world import World

model = ScriptedModel(delay_s=0.02)
World("value_alignment", model=model, embedder="hashing", size=3, out=sys.argv[1], in_flight=2).run(3)
"""


def n_interactions(path: Path) -> int:
    try:
        with sqlite3.connect(f"file:{path / 'run.sqlite'}?mode=ro", uri=True) as db:
            return int(db.execute("SELECT COUNT(*) FROM interactions").fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # not there yet


@pytest.mark.parametrize("after", [2, 14])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    tiny_world: MakeWorld, run_dir: Path, tmp_path: Path, after: int
) -> None:
    """Killed in its first or second round of 9 conversations, with two under way; the whole run is that of ``run_dir``.

    The second process asks for no call that the first one finished, and together they make exactly the calls of the
    uninterrupted run.
    """
    out = tmp_path / "killed"
    with subprocess.Popen([sys.executable, "-c", SLOW, str(out)]) as process:
        deadline = time.monotonic() + 60
        while n_interactions(out) < after and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    n_kept, paid = len(open_run(out).interactions()), calls(out)
    assert after <= n_kept < 27
    assert len(paid) < 306

    model = ScriptedModel()
    world = tiny_world(model=model, out=out, resume=True)
    assert world.round == n_kept // 9
    assert as_bytes(world.run(3)) == as_bytes(run_dir)
    asked = {request.key() for request in model.history}
    assert asked.isdisjoint({key for key, _ in paid})
    assert calls(out) == calls(run_dir)
    assert open_run(out).manifest["tokens"] == open_run(run_dir).manifest["tokens"]
    assert len(world.datacollector.get_model_vars_dataframe()) == 3


def test_a_resumed_run_can_be_made_longer(tiny_world: MakeWorld, run_dir: Path, tmp_path: Path) -> None:
    """Two rounds, closed, resumed to two (no call) and then to three: the run of three."""
    first = tiny_world(out=tmp_path / "a")
    first.run(2)
    first.close()
    model = ScriptedModel()
    second = tiny_world(model=model, out=tmp_path / "a", resume=True, in_flight=4)
    second.run(2)
    assert model.history == []
    assert as_bytes(second.run(3)) == as_bytes(run_dir)
    assert len(model.history) == 102


def test_agents_that_moved_are_found_where_they_went(tiny_world: MakeWorld, tmp_path: Path) -> None:
    """Six agents on nine cells, all of them moving after each round; resumed after each round, the run is the same."""
    settings = {"agents": 6, "movement": 1.0, "reviewers": 2}
    whole = tiny_world(out=tmp_path / "whole", **settings)
    run = whole.run(3)
    for rounds in (1, 2, 3):
        world = tiny_world(out=tmp_path / "parts", resume=True, **settings)
        world.run(rounds)
        assert [m.cell.coordinate for m in world.members] == [
            (x, y) for _, x, y in run.positions(rounds).itertuples(index=False)
        ]
        world.close()
    assert as_bytes(tmp_path / "parts") == as_bytes(run)
    homes = run.agents()[["x", "y"]].to_numpy().tolist()
    assert run.positions(0)[["x", "y"]].to_numpy().tolist() == homes
    assert run.positions(1)[["x", "y"]].to_numpy().tolist() != homes


# -- caps and branches ---------------------------------------------------------------------------------------------


def test_a_cap_on_calls_stops_at_a_whole_interaction(tiny_world: MakeWorld, run_dir: Path, tmp_path: Path) -> None:
    """An interaction makes at most 2 + 2 * 2 + 4 * 2 = 14 calls; the 27 of ``run_dir`` made 306.

    With 150 allowed the world stops within the run, between conversations; resumed without the cap it ends as ever.
    """
    capped = tiny_world(out=tmp_path / "a", max_calls=150)
    assert max(map(capped.max_calls_of, capped.members)) == 14
    run = capped.run(3)
    kept = run.interactions()
    assert (capped.capped, capped.running) == (True, False)
    assert capped.budget.counts["calls"] <= 150
    assert 9 <= len(kept) < 27
    assert all(i.error is None and i.after.value("alignment") is not None for i in kept)
    assert kept == open_run(run_dir).interactions()[: len(kept)]
    assert (capped.round, capped.steps) == (1, 1)
    assert run.manifest["tokens"]["calls"] == capped.budget.counts["calls"]
    capped.close()
    assert as_bytes(tiny_world(out=tmp_path / "a", resume=True).run(3)) == as_bytes(run_dir)


def test_a_cap_that_allows_nothing_writes_an_empty_run(tiny_world: MakeWorld) -> None:
    """The first agent, in a corner, has two neighbours and makes 2 + 2 * 2 + 2 * 2 = 10 calls."""
    run = tiny_world(max_calls=9).run(3)
    assert run.interactions() == []
    assert run.rounds == 0


def test_a_branch_begins_where_the_other_run_stood(tiny_world: MakeWorld, run_dir: Path, tmp_path: Path) -> None:
    """Branched after one round with the same seed it is the same run, and pays only for what comes after.

    With another seed the first round is the same and the second is not; the other run stays as it is.
    """
    before = as_bytes(run_dir)
    model = ScriptedModel()
    same = tiny_world(model=model, out=tmp_path / "same", branch=f"{run_dir}@1")
    assert same.round == 1
    assert as_bytes(same.run(3)) == before
    assert model.history == []
    other = tiny_world(out=tmp_path / "other", branch=f"{run_dir}@1", seed=1).run(2)
    theirs = open_run(run_dir)
    assert other.interactions(0) == theirs.interactions(0)
    assert [i.draft for i in other.interactions(1)] != [i.draft for i in theirs.interactions(1)]
    assert other.manifest["from"] == f"{run_dir}@1"
    assert as_bytes(run_dir) == before


@pytest.mark.parametrize(
    ("after", "settings", "words"),
    [
        ("@7", {}, "has 3 complete rounds; --from .*@7 asks for 7"),
        ("", {}, "--from takes RUN@ROUNDS, for example runs/first@2; found "),
        (
            "@1",
            {"size": 4},
            "has 9 agents on a grid of size 3; branch from it with the same, not 16 on size 4: add --size 3",
        ),
    ],
)
def test_a_branch_that_cannot_be_is_refused(
    tiny_world: MakeWorld, run_dir: Path, after: str, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        tiny_world(branch=f"{run_dir}{after}", **settings)


def test_a_run_is_replayed_without_its_model(tiny_world: MakeWorld, run_dir: Path, tmp_path: Path) -> None:
    replayed = tiny_world(model=f"replay:{run_dir}", embedder=None, out=tmp_path / "again")
    assert as_bytes(replayed.run(3)).replace(f"replay:{run_dir}".encode(), b"scripted:") == as_bytes(run_dir)


# -- one round -----------------------------------------------------------------------------------------------------


class Diary(ScriptedModel):
    """Answers with the round and the agent, so that a memory shows when it was made."""

    def __init__(self) -> None:
        super().__init__(replies=self._say)
        self.world: World | None = None

    def _say(self, request: Request) -> str:
        assert self.world is not None
        return "4" if request.choices else f"said in round {self.world.round}."


def test_memories_are_written_when_the_round_is_over(tiny_world: MakeWorld) -> None:
    """All are asked the same question. In round 0 nobody has heard it, however late it comes; in round 1 all have.

    One conversation after another, so that a memory written too early would be seen by those who come after.
    """
    model = Diary()
    world = tiny_world(Scenario("one", ["Is it so?"]), model=model, in_flight=1)
    model.world = world
    run = world.run(3)
    for round_ in range(3):
        expected = None if round_ == 0 else ("Is it so?", f"said in round {round_ - 1}.")
        assert [i.recalled for i in run.interactions(round_)] == [expected] * 9
    in_round_0 = [r.messages[-1].content for r in model.history[: len(model.history) // 3]]
    assert not any("asked before" in text for text in in_round_0)
    assert run.memories(4) == [("Is it so?", "said in round 2.")]


def test_questions_go_round(tiny_world: MakeWorld) -> None:
    """Nine agents, four questions: agent i of round r gets question (9 r + i) mod 4."""
    questions = ["a?", "b?", "c?", "d?"]
    run = tiny_world(Scenario("four", questions)).run(3)
    for interaction in run.interactions():
        assert interaction.question == questions[(9 * interaction.round + interaction.agent) % 4]


def test_only_the_active_are_asked(tiny_world: MakeWorld) -> None:
    """A third of nine agents: three a round, others in other rounds. Who is not asked reviews all the same."""
    run = tiny_world(active=1 / 3).run(4)
    asked = [{i.agent for i in run.interactions(round_)} for round_ in range(4)]
    assert [len(agents) for agents in asked] == [3, 3, 3, 3]
    assert len(set.union(*asked)) > 3
    feedback = run.feedback()
    assert set(feedback["reviewer"][feedback["round"] == 0]) - asked[0]


def test_mesa_collects_a_row_a_round(tiny_world: MakeWorld) -> None:
    world = tiny_world()
    run = world.run(3)
    frame = world.datacollector.get_model_vars_dataframe()
    assert len(frame) == 3
    assert frame["interactions"].tolist() == [9, 9, 9]
    assert frame["failed"].tolist() == [0, 0, 0]
    collected = json.loads(frame.to_json(orient="records", double_precision=15))
    assert [row["alignment"] for row in collected] == pytest.approx([m["alignment"] for m in run.metrics()])
    assert world.metrics == run.metrics()[-1]


def test_the_manifest_says_what_was_run(run_dir: Path) -> None:
    manifest = open_run(run_dir).manifest
    assert (manifest["schema"], manifest["scenario"], manifest["size"], manifest["seed"]) == (
        2,
        "value_alignment",
        3,
        0,
    )
    assert manifest["models"]["agents"]["uri"] == "scripted:"
    assert manifest["raters"] == {"neighbours": "lm", "observer": "lm"}
    assert manifest["rubric"] == {"dimensions": ["alignment", "engagement"], "scale": 7}
    assert manifest["tokens"]["calls"] == len(calls(run_dir)) == 306
    assert set(manifest["versions"]) >= {"python", "mesa", "numpy", "torch"}
    assert manifest["settings"]["reviewers"] == 4


def test_an_interaction_names_its_round_agent_label_and_protocol(tiny_world: MakeWorld) -> None:
    world = tiny_world(protocol="gossip", population="all_bad")
    world.run(1)
    made = world.interaction(world.members[2], "Is it so?", draft="Yes.")
    assert made == Interaction(1, 2, "bad", "Is it so?", draft="Yes.", protocol="gossip")
    assert world.interaction(world.members[2], "Is it so?", protocol="other").protocol == "other"


def test_the_scripts_of_two_labels_are_heard(tiny_world: MakeWorld, tmp_path: Path) -> None:
    """A model for each label: at n=3 half_half is ggg/bgb/bbb, and each agent speaks as its label does."""
    models = {
        label: ScriptedModel(replies=lambda r, label=label: "4" if r.choices else f"so say the {label}.")
        for label in ("good", "bad")
    }
    run = tiny_world(model=models, out=tmp_path / "two").run(1)
    assert "".join(i.label[0] for i in run.interactions()) == "gggbgbbbb"
    assert [i.draft for i in run.interactions()] == [f"so say the {i.label}." for i in run.interactions()]


def test_any_labels_have_memories_of_their_own(tiny_world: MakeWorld) -> None:
    """Half kind, a quarter rude, a quarter of a label the scenario does not bring up, which is told of: 5, 2 and 2 of 9."""
    question = "May I read my sister's diary?"
    scenario = Scenario(
        "labels", [question], population={"kind": 0.5, "rude": 0.25, "rud": 0.25},
        upbringing={"kind": [Upbringing(question, "No, dear.")], "rude": [Upbringing(question, "Who cares.")]},
    )  # fmt: skip
    world = tiny_world(scenario)
    labels = [member.label for member in world.members]
    assert sorted(labels) == ["kind"] * 5 + ["rud"] * 2 + ["rude"] * 2
    said = {"kind": (question, "No, dear."), "rude": (question, "Who cares."), "rud": None}
    run = world.run(1)
    assert [i.recalled for i in run.interactions()] == [said[label] for label in labels]
    assert run.manifest["population"] == {"kind": 0.5, "rude": 0.25, "rud": 0.25}
    assert world.notes == [
        "agents labelled rud start without memories; labels with an upbringing: kind, rude. Did you mean 'rude'?"
    ]


def test_observers_may_speak_through_another_model(tiny_world: MakeWorld) -> None:
    """Who scores is asked of the observer's model alone; who answers and reviews of the agents'."""
    agents, watching = ScriptedModel(), ScriptedModel(replies=["6"])
    run = tiny_world(model=agents, observer=watching).run(1)
    assert {request.prefix for request in watching.history} == {"Rating:"}
    assert len(watching.history) == 9 * 4
    assert {i.after.value("alignment") for i in run.interactions()} == {6.0}
    assert len(agents.history) == 102 - 36


def test_the_social_graph_of_a_world_is_that_of_its_run(tiny_world: MakeWorld) -> None:
    """Nine agents with two to four neighbours within one cell, all of whom review each round: 24 directed edges."""
    world = tiny_world()
    world.run(2)
    graph = world.social_graph()
    near = {(other.index, agent.index) for agent in world.members for other in world.space.neighbors(agent)}
    assert set(graph.edges) == near
    assert len(near) == 24
    assert all(data["count"] == 2 for _, _, data in graph.edges(data=True))


def test_a_closed_world_is_let_go() -> None:
    """Mesa 3.3 and 3.4 keep every model in a class attribute; a training plays thousands of societies."""
    world = World("value_alignment", model="scripted:", embedder="hashing", size=2)
    world.run(1)
    gone = weakref.ref(world)
    world.close()
    del world
    gc.collect()
    assert gone() is None
