"""The calls behind interactions: all calls of a run are found again, each by what it gave."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sandbox.models.base import Reply, Request
from sandbox.models.scripted import ScriptedModel
from sandbox.store.call_index import CallIndex, RecordedCall
from sandbox.store.run import Run, open_run
from sandbox.world import World


def society(out: Path, scenario: str = "value_alignment", **more: Any) -> Run:
    """Two rounds of a scripted society of four, in which ratings are asked for."""
    given: dict[str, Any] = {"model": "scripted:", "rater": "lm", "embedder": "hashing", "size": 2, "out": out, **more}
    world = World(scenario, **given)
    run = world.run(rounds=2)
    world.close()
    return run


def all_calls(run: Run) -> dict[tuple[int, int], list[RecordedCall]]:
    index = CallIndex(run)
    return {(it.round, it.agent): index.calls_of(it) for it in run.interactions()}


@pytest.mark.parametrize(
    "scenario", ["value_alignment", "adversarial", "rumour", "jury", "commons", "public_goods"]
)  # reviews, debates, choices, groups with rewards, and stages
def test_every_call_of_a_run_belongs_to_an_interaction(tmp_path: Path, scenario: str) -> None:
    run = society(tmp_path / "run", scenario)
    found = {call.key for calls in all_calls(run).values() for call in calls}
    assert len(found) == run.manifest["tokens"]["calls"]


def test_each_text_has_the_call_that_gave_it(tmp_path: Path) -> None:
    """A draft and its revision are the replies; a reason follows the words that it had to begin with."""
    run = society(tmp_path / "run")
    found = all_calls(run)
    for it in run.interactions():
        calls = found[it.round, it.agent]
        by_part = {part: [one for one in calls if one.part == part] for part in {one.part for one in calls}}
        assert [one.reply.text for one in by_part["draft"]] == [it.draft]
        assert [one.reply.text for one in by_part["revision"]] == [it.revision]
        assert it.draft is not None
        assert it.draft in by_part["revision"][0].request.messages[0].content
        for place, said in enumerate(it.feedback):
            rate, reason = by_part[f"review {place}"]
            assert (rate.agent, rate.purpose) == (said.reviewer, f"rate of {it.agent}")
            assert said.rating.reason == f"{reason.request.prefix} {reason.reply.text}"
        assert len(by_part["before"]) == len(by_part["after"]) == 2  # two dimensions
        assert {one.agent for one in by_part["before"]} == {None}
        assert all(run.request(one.key) == one.request and one.origin == "asked" for one in calls)
        assert set(by_part) == {
            "draft",
            "revision",
            "before",
            "after",
            *(f"review {n}" for n in range(len(it.feedback))),
        }


@pytest.mark.parametrize("scenario", ["prisoners", "norm_emergence", "public_goods"])
def test_a_choice_or_number_that_is_the_answer_has_its_call(tmp_path: Path, scenario: str) -> None:
    run = society(tmp_path / "run", scenario)
    found = all_calls(run)
    for it in run.interactions():
        [call] = [one for one in found[it.round, it.agent] if one.part == "draft"]
        assert call.agent == it.agent
        assert call.purpose.rpartition(": ")[2].partition(" ")[0] in ("choose", "number")
        assert it.draft is not None
        assert not call.request.choices or set(call.reply.choice_probs or {}) == set(call.request.choices)


def test_what_others_said_has_the_call_in_which_they_said_it(tmp_path: Path) -> None:
    run = society(tmp_path / "run", "commons")
    found, texts = all_calls(run), 0
    for it in run.interactions():
        calls = found[it.round, it.agent]
        for part, text in [
            *((f"review {n}", f.rating.reason) for n, f in enumerate(it.feedback)),
            *((f"heard {n}", h.text) for n, h in enumerate(it.heard)),
        ]:
            assert {one.reply.text for one in calls if one.part == part} == {text}
            texts += 1
    assert texts


def test_a_branch_has_its_own_calls_and_those_it_recalled(tmp_path: Path) -> None:
    """Told something before its second round, agents are asked with other words, with the same seeds."""
    source = society(tmp_path / "source")
    branch = society(tmp_path / "branch", branch=f"{source.path}@1", event="The well is dry.")
    before, after = all_calls(source), all_calls(branch)
    assert [one.key for one in after[0, 0]] == [one.key for one in before[0, 0]]
    assert {one.origin for one in after[0, 0]} == {"recalled"}
    draft = next(one for one in after[1, 0] if one.part == "draft")
    assert "The well is dry." in draft.request.messages[0].content
    assert draft.origin == "asked"
    assert len([one for one in after[1, 0] if one.part == "draft"]) == 1


def test_a_purpose_of_a_protocols_own_is_found_by_its_text(tmp_path: Path) -> None:
    from sandbox.models.base import Message

    def mine(agent: Any, question: str, world: Any) -> Any:
        reply = yield agent.ask((Message("user", f"Think: {question}"),), "a purpose of my own")
        return world.interaction(agent, question, draft=reply.text)

    class Echo(ScriptedModel):
        def generate(self, requests: Sequence[Request]) -> list[Reply]:
            return [Reply(f"Agent said “{request.seed}”\n\u2028 \x1b") for request in requests]

    run = society(tmp_path / "run", protocol=mine, model=Echo())
    [call] = all_calls(run)[1, 2]
    assert (call.part, call.found_by, call.reply.text) == ("draft", "text", run.interactions(1)[2].draft)
    assert call.as_dict()["request"]["messages"][0][1].startswith("Think: ")


def test_an_imported_run_without_calls_has_none(tmp_path: Path) -> None:
    from sandbox.store.writer import RunWriter

    source = society(tmp_path / "source")
    writer = RunWriter(tmp_path / "imported", {"rubric": {"dimensions": ["alignment"], "scale": 7}})
    writer.commit(source.interactions(0)[0])
    writer.close()
    run = open_run(tmp_path / "imported")
    assert CallIndex(run).calls_of(run.interactions()[0]) == []
