"""What a run would take, foreseen without its models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import ModelNotFound, ScenarioError, UnknownPlugin
from sandbox.models.base import Reply, Request
from sandbox.models.scripted import ScriptedModel
from sandbox.preview.dry_run import forecast
from sandbox.store.run import open_run
from sandbox.world import World

MakeWorld = Callable[..., World]


@pytest.mark.parametrize(
    "settings",
    [{}, {"score_only": True}, {"audience": "global", "reviewers": 3}, {"active": 0.5}, {"rater": "values"}],
)
def test_calls_are_those_that_the_run_makes(tiny_world: MakeWorld, settings: dict[str, Any]) -> None:
    """No call of the made-up model fails, so the forecast is exact. For the first: nine agents with 24 neighbours in
    all make 2 + 4 calls each and two a review, 102 a round."""
    found = forecast("value_alignment", rounds=2, model="scripted:", size=3, **settings)
    run = tiny_world(**settings).run(2)
    assert found.calls == run.manifest["tokens"]["calls"]
    assert found.interactions == len(run.interactions())
    assert found.failed == 0
    if not settings:
        assert found.calls == 2 * 102


def test_tokens_are_those_of_a_model_that_says_all_it_may(tiny_world: MakeWorld) -> None:
    """A model of one token for four characters that uses every token it is given reads and writes what was foreseen."""

    class Wordy(ScriptedModel):
        def generate(self, requests: Any) -> list[Reply]:
            return [self.one(request) for request in requests]

        def one(self, request: Request) -> Reply:
            read = -(-(sum(len(m.content) for m in request.messages) + len(request.prefix)) // 4)
            if request.choices:
                return Reply("4", {c: 1 / 7 for c in request.choices}, read, 1)
            # Answers differ, for equal requests are made once.
            text = f"{request.seed % 10**4:04}" + "word" * (request.max_tokens - 1)
            return Reply(text, None, read, request.max_tokens)

    found = forecast("value_alignment", rounds=1, model="scripted:", size=3)
    tokens = tiny_world(model=Wordy()).run(1).manifest["tokens"]
    assert found.completion_tokens == tokens["completion"]
    assert found.prompt_tokens == pytest.approx(tokens["prompt"], rel=0.02)


def test_what_a_run_has_already_is_not_counted(tiny_world: MakeWorld, tmp_path: Path) -> None:
    """Of two rounds of nine one is there, and five of the second: four are left, a ninth of 2 * 102 calls each."""
    world = tiny_world(out=tmp_path / "a", max_calls=165, in_flight=1)
    world.run(2)
    kept = len(open_run(tmp_path / "a").interactions())
    world.close()
    assert 9 < kept < 18
    settings = {"model": "scripted:", "size": 3, "out": tmp_path / "a"}
    found = forecast("value_alignment", rounds=2, resume=True, **settings)
    assert found.interactions == 18 - kept
    assert found.calls == round(204 / 18 * (18 - kept))
    assert forecast("value_alignment", rounds=1, resume=True, **settings).interactions == 0


def test_a_branch_counts_what_comes_after(run_dir: Path) -> None:
    found = forecast("value_alignment", rounds=3, model="scripted:", size=3, branch=f"{run_dir}@2")
    assert (found.interactions, found.calls) == (9, 102)


def test_many_rounds_are_taken_to_be_like_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.preview.dry_run._ENOUGH", 18)
    found = forecast("value_alignment", rounds=1000, model="scripted:", size=3)
    assert (found.interactions, found.calls) == (9000, 102_000)


def test_no_model_is_loaded(tmp_path: Path) -> None:
    """A folder that is not there does for a forecast; a kind of model that is not installed does not."""
    missing = str(tmp_path / "nowhere")
    found = forecast("value_alignment", rounds=1, size=2, model=f"hf:{missing}", rater=f"reward:{missing}")
    # Rated by a reward model: a draft, a revision, and a reason of each of two neighbours.
    assert (found.interactions, found.calls) == (4, 4 * (2 + 2))
    with pytest.raises(UnknownPlugin, match="no model named 'hff'"):
        forecast("value_alignment", rounds=1, model="hff:x")
    with pytest.raises(ModelNotFound, match="no model named 'smolm2'"):
        forecast("value_alignment", rounds=1, model="smolm2")
    with pytest.raises(ScenarioError, match="needs 4 reviewers per agent but there are only 3 others"):
        forecast("value_alignment", rounds=1, size=2, model="scripted:", audience="global")


def test_the_bundled_model_and_what_was_trained_from_it_do_not_rate(tmp_path: Path) -> None:
    """With ``values`` nobody is asked for a rating: four drafts, four revisions, and a reason of two neighbours."""
    (tmp_path / "training.json").write_text('{"base": "hf:smollm2"}')
    for model in ("smollm2", f"hf:{tmp_path}"):
        assert forecast("value_alignment", rounds=1, size=2, model=model).calls == 4 * (4 + 4 + 2)
    assert forecast("value_alignment", rounds=1, size=2, model="openai:any").calls == 4 * (2 + 2 * 2 + 4)


def test_models_of_labels_and_shares(tmp_path: Path) -> None:
    both = forecast("value_alignment", rounds=1, size=2, model="good=scripted:,bad=openai:x")
    assert both.calls == 4 * (2 + 2 * 2 + 4)
    assert forecast("value_alignment", rounds=1, size=2, model="scripted:=0.5,openai:x=0.5").calls == both.calls


def test_a_protocol_that_stumbles_over_made_up_replies_is_told_of() -> None:
    def strict(agent: Any, question: str, world: World) -> Any:
        reply = yield agent.answer(question)
        raise ValueError(f"{reply.text} is not JSON")

    found = forecast("value_alignment", rounds=1, size=2, model="scripted:", protocol=strict)
    assert (found.calls, found.failed) == (4, 1.0)
