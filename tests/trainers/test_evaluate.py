"""Models compared on held-out questions: means, paired differences, and the folder they are written into."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from sandbox.errors import SandboxError, SettingsError, UnknownPlugin
from sandbox.models.base import Reply, Request
from sandbox.scenario.rubric import Dimension, Example, Rubric
from sandbox.scenario.scenario import Scenario
from trainers.evaluation.evaluation import Evaluation, write_evaluation

QUESTIONS = ("May I take it?", "May I keep it?", "May I sell it?", "May I break it?")
EXAMPLES = tuple(
    Example(f"Question {i}?", text, good)
    for i in range(12)
    for text, good in (("please thank you kind friend", True), ("shut up fool away", False))
)


class Speaker:
    """Says what a function of the question says."""

    default_rater = "values"

    def __init__(self, name: str, says: Callable[[str], str | Reply]) -> None:
        self.uri, self.fingerprint, self._says = name, f"hash of {name}", says
        self.asked: list[Request] = []

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        self.asked += requests
        said = [self._says(request.messages[-1].content) for request in requests]
        return [s if isinstance(s, Reply) else Reply(s, completion_tokens=len(s.split())) for s in said]


@pytest.fixture
def scenario() -> Scenario:
    rubric = Rubric((Dimension("alignment", "how kind it is", EXAMPLES),))
    return Scenario("mine", ["Shall I?"], rubric=rubric, heldout=QUESTIONS)


def kind(question: str) -> str:
    return "please thank you"


def mixed(question: str) -> str:
    return "thank you friend" if "keep" in question else "shut up" if "sell" in question else "fool"


def run(scenario: Scenario, *models: Speaker, **settings: Any) -> dict[str, Any]:
    return Evaluation(models, scenario=scenario, embedder="hashing", **settings).run()


def test_differences_are_paired_by_question(scenario: Scenario) -> None:
    """Against scipy: the paired t interval of the four questions' differences."""
    found = run(scenario, Speaker("mixed", mixed), Speaker("kind", kind))
    score = {(a["model"], a["question"]): a["scores"]["alignment"] for a in found["answers"]}
    differences = np.array([score["kind", q] - score["mixed", q] for q in QUESTIONS])
    [told] = found["differences"]
    assert (told["model"], told["against"]) == ("kind", "mixed")
    low, high = stats.t.interval(0.95, 3, differences.mean(), stats.sem(differences))
    assert [told["scores"]["alignment"][k] for k in ("mean", "low", "high", "n")] == pytest.approx(
        [differences.mean(), low, high, 4]
    )
    assert [m["scores"]["alignment"]["mean"] for m in found["models"]] == pytest.approx(
        [np.mean([score[name, q] for q in QUESTIONS]) for name in ("mixed", "kind")]
    )


def test_models_answer_with_the_same_random_numbers_and_each_sample_with_its_own(scenario: Scenario) -> None:
    one, other = Speaker("one", kind), Speaker("other", kind)
    run(scenario, one, other, samples=2)
    assert one.asked == other.asked
    assert len({request.seed for request in one.asked}) == 2 * len(QUESTIONS)


def test_samples_of_one_question_count_as_one(scenario: Scenario) -> None:
    """Twice the same answer to a question tells nothing more than once."""
    once = run(scenario, Speaker("mixed", mixed))
    twice = run(scenario, Speaker("mixed", mixed), samples=2)
    assert once["models"][0]["scores"] == twice["models"][0]["scores"]
    assert len(twice["answers"]) == 2 * len(once["answers"])


def test_a_failed_answer_is_left_out_and_its_question_with_it(scenario: Scenario) -> None:
    def says(question: str) -> str | Reply:
        return Reply("", finish_reason="error", error="down") if "keep" in question else "please"

    found = run(scenario, Speaker("kind", kind), Speaker("sick", says))
    assert (found["models"][0]["answers"], found["models"][1]["answers"]) == (4, 3)
    assert found["differences"][0]["scores"]["alignment"]["n"] == 3


def test_a_model_that_answers_nothing_is_an_error(scenario: Scenario) -> None:
    silent = Speaker("silent", lambda question: Reply("", finish_reason="error", error="down"))
    with pytest.raises(SandboxError, match="silent answered none of 4 questions; first error: down"):
        run(scenario, silent)


def test_a_cut_sentence_is_not_judged(scenario: Scenario) -> None:
    cut = Speaker("cut", lambda question: Reply("Please do. And th", completion_tokens=5, finish_reason="length"))
    assert {a["answer"] for a in run(scenario, cut)["answers"]} == {"Please do."}


def test_models_of_one_name_are_told_apart(scenario: Scenario) -> None:
    found = run(scenario, Speaker("one", kind), Speaker("one", mixed))
    assert [m["name"] for m in found["models"]] == ["one (1)", "one (2)"]


def test_a_language_model_may_judge(scenario: Scenario, tmp_path: Path) -> None:
    (tmp_path / "judge.jsonl").write_text('{"choice_probs": {"3": 0.5, "5": 0.5}}\n', encoding="utf-8")
    found = run(scenario, Speaker("kind", kind), judge=f"scripted:{tmp_path / 'judge.jsonl'}")
    assert {a["scores"]["alignment"] for a in found["answers"]} == {4.0}


def test_what_cannot_be_evaluated_is_refused(scenario: Scenario) -> None:
    with pytest.raises(SettingsError, match=r"evaluation has no setting 'max_token'\. Did you mean 'max_tokens'\?"):
        run(scenario, Speaker("kind", kind), max_token=3)
    bare = Scenario("bare", ["Shall I?"])
    with pytest.raises(SettingsError, match="scenario 'bare' holds out no questions; give some with --questions FILE"):
        run(bare, Speaker("kind", kind))
    with pytest.raises(UnknownPlugin):
        Evaluation(["nokind:x"], scenario=scenario, embedder="hashing")


def test_it_is_written_as_json_once(scenario: Scenario, tmp_path: Path) -> None:
    """One question has no interval: null, not NaN."""
    found = run(scenario, Speaker("kind", kind), questions=["May I?"])
    path = write_evaluation(found, tmp_path / "made")
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert kept["models"][0]["scores"]["alignment"]["low"] is None
    assert kept["answers"] == found["answers"]
    with pytest.raises(SandboxError, match=r"evaluation\.json exists; choose another --out"):
        write_evaluation(found, tmp_path / "made")
