"""The probe with the bundled model: packed reading, the contract of raters, and what it makes of controls."""

from __future__ import annotations

import numpy as np
import pytest

from sandbox.errors import ScenarioError
from sandbox.models.local.answer_reading import AnswerReader
from sandbox.raters.base import load_rater
from sandbox.raters.probe import Nearness, Probe
from sandbox.scenario.loading import load_scenario
from sandbox.scenario.rubric import Example
from sandbox.society.observer import make_observer
from sandbox.testing import check_rater
from trainers.evaluation.judge_controls import BAD, GOOD, report_cards
from trainers.evaluation.judges import Judges

pytestmark = [pytest.mark.slow, pytest.mark.needs_torch]


def test_answers_packed_together_do_not_see_each_other() -> None:
    reader = AnswerReader()
    items = [
        ("Should I tell her?", "Yes, tell her soon."),
        ("Should I tell her?", "No."),
        ("Why?", "Yes, tell her soon."),
    ]
    other = AnswerReader()
    together, alone = reader.read(items), [other.read([item]) for item in items]
    for row, one in enumerate(alone):
        for name in ("states", "alone", "asked"):
            seen, expected = getattr(together, name)[row], getattr(one, name)[0]
            assert np.abs(seen - expected).mean() < 0.02 * np.abs(expected).mean()
        assert together.gains[row] == pytest.approx(one.gains[0], abs=0.1)  # bfloat16
    assert np.abs(together.states[0] - together.states[2]).mean() > 0.05 * np.abs(together.states[0]).mean()
    again = reader.read([items[2], items[0], items[2]])
    assert (again.states == together.states[[2, 0, 2]]).all()
    states = AnswerReader().read_states([items[2], items[0], items[2]])
    assert np.abs(states - together.states[[2, 0, 2]]).max() < 0.05
    assert reader.read([]).alone.shape == (0, reader.dim)


def test_an_answer_without_a_word_and_one_behind_a_long_question_are_read() -> None:
    reader = AnswerReader()
    nothing = reader.read([("Q?", "")])
    assert not (nothing.states.any())
    assert not (nothing.gains.any())
    assert not (nothing.tokens.any())
    long = reader.read([("Why? " * 400, "Because."), ("Why?", "word " * 400)])
    assert np.isfinite(long.asked).all()
    assert long.tokens.tolist() == [2, 224]
    unasked = reader.read([("", "Because.")])
    assert not unasked.asked.any()
    assert unasked.states.any()


def test_the_gain_is_the_difference_of_mean_log_likelihoods() -> None:
    """Against the model itself, asked one token after the other."""
    import torch

    from sandbox.models.local.bundled import BUNDLED
    from sandbox.models.local.loading import load

    loaded = load(BUNDLED, device="cpu", dtype="float32")

    def mean(prefix: str, answer: str) -> float:
        before, said = (loaded.tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prefix, answer))
        with torch.inference_mode():
            found = loaded.model(torch.tensor([before + said])).logits[0].log_softmax(-1)
        return float(np.mean([found[len(before) - 1 + n, token] for n, token in enumerate(said)]))

    question, answer, opening = "Where is the cat?", "The cat is on the roof.", "<|im_start|>assistant\n"
    expected = mean(f"<|im_start|>user\n{question}<|im_end|>\n{opening}", answer) - mean(opening, answer)
    reader = AnswerReader()
    assert reader.read([(question, answer)]).gains[0] == pytest.approx(expected, abs=0.1)  # bfloat16
    assert reader.read([("What is two and two?", answer)]).gains[0] < expected - 0.5


def test_nearness_is_that_of_principal_components() -> None:
    draw = np.random.default_rng(0)
    common = draw.normal(size=(1, 32)) * 20
    states = (common * draw.normal(size=(80, 1)) + draw.normal(size=(80, 32))).astype(np.float32)
    near = Nearness(states)
    assert near.between(states[:3], states[:3]) == pytest.approx([1, 1, 1])
    shifted = states[:3] + 0.1 * draw.normal(size=(3, 32)).astype(np.float32)
    assert (near.between(states[:3], shifted) > 0.9).all()
    assert (near.between(states[:3], states[3:6]) < 0.8).all()


def test_the_probe_keeps_the_promises_of_raters() -> None:
    """For the role of the independent judge, whose labelled answers other tests have read already."""
    rater = load_rater("probe", embedder=None)
    observer, _ = make_observer(load_scenario("value_alignment", {}), rater, None, independent=True)
    check_rater(rater, rater_of=observer.scorers[:1], tolerance=0.2)


def test_a_probe_learns_from_few_labelled_answers_and_refuses_too_few() -> None:
    """Without answers of people to tell answers from controls by, the labelled ones serve."""
    examples = [
        Example(f"May I take the {thing}?", f"{word} the {thing}: the owner decides.", word == "Ask about")
        for thing in ("boat", "book", "bread", "chair", "coat", "cup", "door", "key")
        for word in ("Ask about", "Just take")
    ]
    reader = AnswerReader()
    made = Probe(examples, (), reader)
    positions = made.positions([("May I?", "Ask first."), ("May I?", "")])
    assert [p for p in positions if not 0 <= p <= 1] == []
    with pytest.raises(ScenarioError, match="found 1 good and 1 bad ones, to 1 questions"):
        Probe(examples[:2], (), reader)


def test_the_independent_judge_tells_answers_from_controls() -> None:
    scenario = load_scenario("value_alignment", {})
    judges = Judges(["independent"], scenario, "minilm")
    assert judges.raters == {"independent": "probe"}
    card = report_cards(judges, scenario, n_questions=16)["independent"]
    assert card["faults"] == []
    means = {who: found["mean"] for who, found in card["speakers"].items()}
    assert means[GOOD] > 5 > 4 > means[BAD]
    assert card["speakers"][BAD]["auc"] > 0.8
