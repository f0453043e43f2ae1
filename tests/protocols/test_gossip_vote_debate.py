"""The protocols beside Back-Scatter, against conversations whose every line is scripted."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from sandbox import Interaction, Request, Scenario, World, open_run
from sandbox.models.scripted import ScriptedModel
from sandbox.testing import check_protocol
from trainers.diagnosis.doctor import diagnose
from visualize.report import write_report


@pytest.mark.parametrize("name", ["gossip", "vote", "debate"])
def test_it_does_what_protocols_promise(name: str) -> None:
    check_protocol(name)


def said(request: Request) -> str:
    """Every agent says its own name; asked to choose, it says yes when it has heard Agent 1, else no."""
    system, asked = request.messages[0].content, request.messages[-1].content
    name = system.split(",")[0].removeprefix("You are ")
    if request.prefix == "Answer:":
        if "convincing" in asked:
            return request.choices[0]
        return "yes" if "- Agent 1" in asked else "no"
    if request.choices:
        return request.choices[0]
    if "Speak against it" in asked:
        return f"{name} objects."
    return f"{name} insists." if "heard others say" in asked else f"{name} speaks."


def lived(out: Path, protocol: str, rounds: int, **settings: Any) -> tuple[list[Interaction], ScriptedModel]:
    model = ScriptedModel(replies=said)
    world = World(
        Scenario("mine", ["May I?"], protocol=protocol), model=model, rater="lm", embedder="hashing", size=3, out=out,
        **settings,
    )  # fmt: skip
    world.run(rounds)
    world.close()
    return open_run(out).interactions(), model


def test_gossip_is_heard_a_round_later_by_neighbours_alone(tmp_path: Path) -> None:
    """On 3x3 with radius 1 Agent 1 (index 0) has the neighbours 2 and 4 (indices 1 and 3)."""
    record, _ = lived(tmp_path / "run", "gossip", 2)
    first, second = record[:9], record[9:]
    assert all(it.feedback == () and it.draft == f"Agent {it.agent + 1} speaks." for it in first)
    assert all(it.extra == {"choice": {"yes": 0.0, "no": 1.0}} for it in first)
    assert [it.agent for it in second if it.extra["choice"]["yes"]] == [1, 3]
    middle = next(it for it in second if it.agent == 4)
    assert sorted(f.reviewer for f in middle.feedback) == [1, 3, 5, 7]
    assert {f.rating.reason for f in middle.feedback} == {f"Agent {n} speaks." for n in (2, 4, 6, 8)}
    assert all(f.rating.value is None for f in middle.feedback)
    assert middle.draft == "Agent 5 insists."


def without_kinds(path: Path) -> None:
    """Make a run one that was recorded before feedback had kinds."""
    with sqlite3.connect(path / "run.sqlite") as db:
        db.execute("ALTER TABLE feedback DROP COLUMN kind")


@pytest.mark.needs_torch  # rows are a dataset
@pytest.mark.parametrize("is_old", [False, True])
def test_what_is_said_without_a_rating_is_no_unreadable_rating(tmp_path: Path, is_old: bool) -> None:
    """Nor is it a reason to repeat a conversation when a run is resumed; also in a run of before there were kinds."""
    before, _ = lived(tmp_path / "run", "gossip", 2)
    if is_old:
        without_kinds(tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert run.interactions() == before
    assert {f.kind for it in before for f in it.feedback} == {"said"} == set(run.feedback()["kind"])
    assert run.unreadable() == {"n": 0, "of": 18 * 2, "first": None}  # the observers' ratings, on two dimensions
    findings = diagnose(run, quality=False)["findings"]
    assert "0% of 0 ratings by neighbours" in next(one["words"] for one in findings if "unreadable" in one["name"])
    after, model = lived(tmp_path / "run", "gossip", 2, resume=True)
    assert (after, len(model.history)) == (before, 0)
    assert "rates it" not in write_report(tmp_path / "run").read_text(encoding="utf-8")
    copy, _ = lived(tmp_path / "copy", "gossip", 2, branch=f"{tmp_path / 'run'}@2")
    assert copy == before


def test_a_vote_is_told_its_own_answer_and_the_neighbours(tmp_path: Path) -> None:
    """Everyone says no in private; Agent 1 hears itself, and its neighbours hear it: three votes of yes."""
    record, model = lived(tmp_path / "run", "vote", 1)
    assert all(it.extra["private"] == {"yes": 0.0, "no": 1.0} for it in record)
    assert [it.agent for it in record if it.extra["vote"]["yes"]] == [0, 1, 3]
    voted = [r for r in model.history if r.prefix == "Answer:" and "heard others" in r.messages[-1].content]
    assert len(voted) == 9
    assert sum("- Agent 5 (you): Agent 5 speaks." in r.messages[-1].content for r in voted) == 1
    assert record[4].revision is None


def test_a_debate_has_one_opponent_and_the_rest_judge(tmp_path: Path) -> None:
    """The middle has four neighbours: one opponent, three judges, who all find the first they may name convincing."""
    record, _ = lived(tmp_path / "run", "debate", 1)
    middle = record[4]
    [against] = middle.feedback
    assert (middle.draft, middle.revision) == ("Agent 5 speaks.", "Agent 5 insists.")
    assert against.reviewer == middle.extra["opponent"]
    assert against.rating.reason == f"Agent {against.reviewer + 1} objects."
    others = {1, 3, 5, 7} - {against.reviewer}
    assert middle.extra["verdicts"] == {str(n): 1.0 for n in others}
    assert middle.before.ratings.keys() == middle.after.ratings.keys() == {"alignment", "engagement"}


def test_whoever_is_alone_debates_with_nobody(tmp_path: Path) -> None:
    """Two agents on 3x3 cells far from each other have no neighbours: they answer once."""
    record, _ = lived(tmp_path / "run", "debate", 1, agents=2, seed=1)
    alone = [it for it in record if it.extra["opponent"] is None]
    assert all(it.revision is None and it.draft and not it.feedback for it in alone)


def test_a_choice_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    """A model that gives no probabilities and talks about something else."""
    from sandbox.society.agent import read_choice

    assert read_choice("Well, NOT GUILTY, I think", ("guilty", "not guilty")).best == "not guilty"
    assert read_choice("guilty", ("guilty", "not guilty")).probs == {"guilty": 1.0, "not guilty": 0.0}
    unread = read_choice("10 of them", ("1", "2"))
    assert (unread.probs, unread.best, unread.raw) == (None, None, "10 of them")
