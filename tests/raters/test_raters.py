"""Raters: ratings read from words and from probabilities, and values learnt from labelled answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sandbox.conversation.steps import Call, CallFailed
from sandbox.embedders.hashing import HashingEmbedder
from sandbox.errors import ModelNotFound, ScenarioError, UnknownPlugin
from sandbox.models.base import Message, Reply, Request
from sandbox.raters.base import load_rater
from sandbox.raters.lm import LMRater, parse_rating
from sandbox.raters.reward import RewardRater
from sandbox.raters.values import Values, ValuesRater, learn_values
from sandbox.records import Rating
from sandbox.scenario.rubric import Dimension, Example


@dataclass
class Asker:
    """Whoever rates: puts the question to a language model as it stands."""

    lm: Any = None
    examples: tuple[Example, ...] = ()
    known_answers: tuple[tuple[str, str], ...] = ()
    values_key: Any = "asker"
    scale: int = 7
    dimension: Dimension = field(default_factory=lambda: Dimension("alignment", "how kind it is"))

    def rate(self, question: str, answer: str, choices: tuple[str, ...], max_tokens: int) -> Call:
        text = f"{question}\n{answer}"
        return Call(self.lm, Request((Message("user", text),), max_tokens, prefix="Rating:", choices=choices))


@pytest.mark.parametrize(
    ("text", "value", "reason"),
    [
        ("Rating: 5 ### Reason: It is kind.", 5.0, "It is kind."),
        ("RATING: 6/7 ### reason: fine", 6.0, "fine"),
        ("rating 6.5", 6.5, ""),
        ("Rating = 3.", 3.0, ""),
        ("**Rating:** 4\n**Reason:** short", 4.0, "short"),
        ("I would say. Rating: 2, since it is rude.", 2.0, ""),
        ("4", 4.0, ""),
        (" 6 / 7 because", 6.0, ""),
        ("Rating: 1", 1.0, ""),
        ("Rating: 7", 7.0, ""),
        ("Rating: four", 4.0, ""),
        ("On a scale of 1 to 7, I would give this a 6.", 6.0, ""),
        ("I would give this six and a half.", 6.5, ""),
        ("Rating: seven and a half", None, ""),
        ("I'd rate it 5 out of 7.", 5.0, ""),
        ("Rating: (5)", 5.0, ""),
        ("Rating: I would say six, a fair answer.", 6.0, ""),
        ("<think>Rating: 1 would be too low.</think> 6", 6.0, ""),
    ],
)
def test_ratings_are_read_from_words(text: str, value: float, reason: str) -> None:
    found = parse_rating(text, 7)
    assert (found.value, found.reason) == (value, reason)


@pytest.mark.parametrize(
    "text",
    ["Rating: 0", "Rating: 70", "Rating: 8", "Rating: 7.5", "Rating: 6/10", "Rating: ²", "Rating: 5x", "Rating: -3",
     "Rating: 1.2.3", "no idea", "", "Rating: between 4 and 6", "On a scale of 1 to 7.", "Rating: ٣"],
)  # fmt: skip
def test_what_is_no_rating_is_none_with_its_text(text: str) -> None:
    found = parse_rating(text, 7)
    assert found.value is None
    assert text in found.raw


def test_the_scale_is_the_rubrics() -> None:
    assert parse_rating("Rating: 9", 10).value == 9
    assert parse_rating("Rating: 9/10", 10).value == 9
    assert parse_rating("Rating: 6/7", 10).value is None


def test_a_language_model_rates_by_its_probabilities(scripted_lm: Callable[..., Any]) -> None:
    """0.5 * 2 + 0.25 * 4 + 0.25 * 6 = 3.5."""
    asker = Asker(scripted_lm([{"choice_probs": {"2": 0.5, "4": 0.25, "6": 0.25}}]))
    [found] = LMRater().rate([("Q", "A")], rater_of=asker)
    assert found == Rating(3.5, (0.0, 0.5, 0.0, 0.25, 0.0, 0.25, 0.0))
    [request] = asker.lm.history
    assert (request.prefix, request.choices) == ("Rating:", ("1", "2", "3", "4", "5", "6", "7"))


def test_a_language_model_without_probabilities_is_read() -> None:
    class Talker:
        uri = fingerprint = "talker"
        default_rater = "lm"

        def generate(self, requests: Sequence[Request]) -> list[Reply]:
            return [Reply(" 6 ### Reason: It listens."), Reply("I cannot say.")][: len(requests)]

    readable, unreadable = LMRater().rate([("Q", "A"), ("Q", "B")], rater_of=Asker(Talker()))
    assert (readable.value, readable.reason, readable.distribution) == (6.0, "It listens.", None)
    assert (unreadable.value, unreadable.raw) == (None, "Rating: I cannot say.")


def test_a_failed_call_is_no_rating(scripted_lm: Callable[..., Any]) -> None:
    with pytest.raises(CallFailed, match="out of order"):
        LMRater().rate([("Q", "A")], rater_of=Asker(scripted_lm([{"error": "out of order"}])))


KIND = ("please thank you gladly", "gladly help kind friend", "kind please listen", "thank you friend kind")
RUDE = ("shut up fool", "fool nobody cares", "go away nobody shut", "cares fool away")


def brought_up(liked: Sequence[str], disliked: Sequence[str]) -> tuple[Example, ...]:
    pairs = list(zip(liked, disliked, strict=True)) * 3
    return tuple(
        Example(f"question {i}", text, good)
        for i, (one, other) in enumerate(pairs)
        for text, good in ((one, True), (other, False))
    )


def test_those_brought_up_badly_honestly_like_bad_answers() -> None:
    rater = ValuesRater(embedder=HashingEmbedder())
    good = Asker(examples=brought_up(KIND, RUDE), values_key="good")
    bad = Asker(examples=brought_up(RUDE, KIND), values_key="bad")
    items = [("May I ask you?", "gladly kind friend"), ("May I ask you?", "nobody cares fool")]
    kind_by_good, rude_by_good = rater.rate(items, rater_of=good)
    kind_by_bad, rude_by_bad = rater.rate(items, rater_of=bad)
    assert kind_by_good.value > 5 > 3 > rude_by_good.value
    assert rude_by_bad.value > 5 > 3 > kind_by_bad.value
    assert rater.values(good).accuracy > 0.9


def test_a_rating_has_the_binomial_distribution_with_its_mean() -> None:
    rater = ValuesRater(embedder=HashingEmbedder())
    asker = Asker(examples=brought_up(KIND, RUDE))
    for found in rater.rate([("Q", "kind friend away"), ("Q", "gladly"), ("Q", "fool")], rater_of=asker):
        assert 1 <= found.value <= 7
        assert sum(found.distribution) == pytest.approx(1, abs=1e-5)
        mean = sum(n * p for n, p in enumerate(found.distribution, 1))
        assert mean == pytest.approx(found.value, abs=1e-4)


def test_values_are_learnt_once_for_each_who_rates() -> None:
    rater = ValuesRater(embedder=HashingEmbedder())
    asker = Asker(examples=brought_up(KIND, RUDE))
    assert rater.values(asker) is rater.values(asker)
    assert rater.values(Asker(examples=brought_up(RUDE, KIND), values_key="other")) is not rater.values(asker)


def test_the_standing_of_an_answer_rises_with_its_logit() -> None:
    """Two directions: good answers along the first, bad ones against it; the middle stands in the middle."""
    draw = np.random.default_rng(0)
    answers = np.zeros((40, 2), np.float32)
    answers[:, 0] = [1.0, -1.0] * 20
    answers += draw.normal(0, 0.1, answers.shape).astype(np.float32)
    questions = np.tile(np.array([0.0, 1.0], np.float32), (40, 1))
    values = Values(questions, answers, np.array([True, False] * 20), np.arange(40) // 2)

    def at(x: float) -> float:
        return values.standing(questions[0], np.array([x, 0.0], np.float32))

    assert at(-3.0) < 0.01 < 0.1 == pytest.approx(at(-1.0), abs=0.05)
    assert at(3.0) > 0.99 > 0.9 == pytest.approx(at(1.0), abs=0.05)
    assert at(0.0) == pytest.approx(0.5, abs=0.1)
    assert values.accuracy == 1.0


def test_one_kind_of_example_teaches_nothing() -> None:
    with pytest.raises(ScenarioError) as caught:
        learn_values([Example("Q", "A", True)] * 3, HashingEmbedder())
    assert str(caught.value) == (
        "values are learnt from labelled answers, good and bad; found 3 examples of one kind or none. Add some "
        "to the scenario's dimension, or rate with --rater lm"
    )


def test_the_first_sentence_of_an_answer_is_an_example_too() -> None:
    seen: list[str] = []

    class Listening(HashingEmbedder):
        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            seen.extend(texts)
            return super().embed(texts)

    long = "This is a whole sentence. And here is another."
    learn_values([Example("Q", long, True), Example("Q", "Too short. To cut.", False)], Listening())
    assert "This is a whole sentence." in seen
    assert "Too short." not in seen


@pytest.fixture
def make_classifier(tmp_path: Path, tiny_lm_path: Path) -> Callable[[int], tuple[Path, Any, Any]]:
    """Saves a tiny sequence classifier of random weights with so many classes; gives its folder, itself, its tokenizer."""

    def make(n_classes: int) -> tuple[Path, Any, Any]:
        import torch
        from transformers import AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

        tokenizer = AutoTokenizer.from_pretrained(tiny_lm_path)
        config = LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_labels=n_classes,
            num_attention_heads=2, num_key_value_heads=2, initializer_range=0.5, pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = LlamaForSequenceClassification(config).eval()
        model.save_pretrained(tmp_path / "reward")
        tokenizer.save_pretrained(tmp_path / "reward")
        return tmp_path / "reward", model, tokenizer

    return make


@pytest.mark.parametrize("n_classes", [1, 2])
def test_a_reward_model_is_mapped_to_the_scale(make_classifier: Any, n_classes: int) -> None:
    """1 + 6 p, p being the logistic function of the one logit or the probability of the last class; texts of other
    lengths in the batch change nothing."""
    import torch

    path, model, tokenizer = make_classifier(n_classes)
    rater = load_rater(f"reward:{path}", embedder=None)
    assert isinstance(rater, RewardRater)
    items = [("May I?", "No."), ("May I ask you for help?", "Of course, at any time of the day, my friend.")]
    found = rater.rate(items, rater_of=Asker())
    for (question, answer), rating in zip(items, found, strict=True):
        with torch.inference_mode():
            text = f"<|user|>{question}<|end|><|assistant|>{answer}<|end|>"
            logits = model(**tokenizer(text, return_tensors="pt")).logits[0].tolist()
        weights = np.exp(logits if n_classes == 2 else [0.0, *logits])
        assert rating.value == pytest.approx(1 + 6 * weights[-1] / weights.sum(), abs=1e-4)
    assert found[0].value != found[1].value


@pytest.mark.needs_torch
def test_a_reward_model_that_is_not_there_is_said() -> None:
    with pytest.raises(
        ModelNotFound, match=r"the reward rater needs a model: --rater reward:FOLDER or reward:HUB_NAME"
    ):
        load_rater("reward", embedder=None)
    with pytest.raises(ModelNotFound, match=r"reward model './nowhere' cannot be loaded as a sequence classifier"):
        load_rater("reward:./nowhere", embedder=None)


def test_an_unknown_rater_is_told_what_there_is() -> None:
    with pytest.raises(UnknownPlugin, match=r"no rater named 'value'\. Did you mean 'values'\?"):
        load_rater("value", embedder=None)
