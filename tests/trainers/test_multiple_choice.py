"""Multiple choice and implicit rewards by likelihoods, against sums worked out token by token."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sandbox.errors import DataFileError, ModelNotFound
from sandbox.models.catalog import load_model
from trainers.evaluation.likelihood_model import LikelihoodModel
from trainers.evaluation.multiple_choice import compare_choices, predict_choices, read_choices
from trainers.evaluation.preference_accuracy import compare_pairs, n_readings, pair_margins
from trainers.rows.build import rows_from

pytestmark = pytest.mark.needs_torch


def write(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_the_answer_may_be_a_number_a_letter_or_the_text(tmp_path: Path) -> None:
    shared = {"question": "May I?", "choices": ["Yes.", "No."]}
    file = write(tmp_path / "c.jsonl", *({**shared, "answer": right} for right in (1, "b", "No.")))
    assert read_choices(file) == [("May I?", ("Yes.", "No."), 1)] * 3


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (3, "line 1 is a number; expected an object with question, choices and answer"),
        (
            {"question": "Q?", "choices": ["Yes."], "answer": 0},
            "line 1: expected 'choices', a list of two texts or more",
        ),
        (
            {"question": "Q?", "choices": ["Y", "N"], "answer": 2},
            "'answer' is 2; expected 0 to 1, a letter from A, or one of",
        ),
        ({"choices": ["Y", "N"], "answer": 0}, "line 1: expected a text 'question'; found None"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(DataFileError, match=message):
        read_choices(write(tmp_path / "c.jsonl", row))


def per_token(lm: Any, prompt: list[int], answer: list[int]) -> torch.Tensor:
    logits = lm.model(input_ids=torch.tensor([prompt + answer])).logits[0, :-1].log_softmax(dim=-1)
    return logits.gather(1, torch.tensor([*prompt, *answer])[1:, None])[len(prompt) - 1 :, 0]


def test_the_likeliest_per_token_is_chosen(tiny_lm_path: Path) -> None:
    lm: Any = load_model(f"hf:{tiny_lm_path}")
    items = [
        (f"How do I greet neighbour {n}?", ("Talk.", "Shout at them all night long.", "Wave."), n % 3) for n in range(4)
    ]
    expected = []
    for question, choices, _ in items:
        prompt, answers = LikelihoodModel(lm).encoder.encode(question, list(choices))
        expected.append(max(range(3), key=lambda i: float(per_token(lm, prompt, answers[i]).mean())))
    assert predict_choices(lm, items) == expected
    found = compare_choices([lm, lm], items, names=["a", "b"])
    assert found["chance"] == pytest.approx(1 / 3)
    assert (
        found["models"][0]["accuracy"]["mean"]
        == sum(e == right for e, (_, _, right) in zip(expected, items, strict=True)) / 4
    )
    assert (found["differences"][0]["accuracy"]["mean"], found["differences"][0]["accuracy"]["p"]) == (0, 1)


def test_implicit_rewards_are_sums_seen_from_the_reference(
    tiny_lm_path: Path, make_tiny_lm: Any, tmp_path: Path
) -> None:
    """A pair in messages and one in plain text; (log p - log p_ref)(better) - (log p - log p_ref)(worse)."""
    plain = {"prompt": "Q1?", "chosen": "Talk to them.", "rejected": "Shout."}
    messages = {
        name: [{"role": "user" if name == "prompt" else "assistant", "content": text}]
        for name, text in (("prompt", "Q2?"), ("chosen", "Listen."), ("rejected", "Shout at them all night."))
    }
    rows = [rows_from(write(tmp_path / f"{i}.jsonl", row), "preferences") for i, row in enumerate((plain, messages))]
    ours: Any = load_model(f"hf:{tiny_lm_path}")
    theirs: Any = load_model(f"hf:{make_tiny_lm('other', seed=5)}")
    for one in rows:
        expected = 0.0
        for name, sign in (("chosen", 1), ("rejected", -1)):
            prompt, [answer] = LikelihoodModel(ours).encoder.encode(one[0]["prompt"], [one[0][name]])
            expected += sign * float(per_token(ours, prompt, answer).sum() - per_token(theirs, prompt, answer).sum())
        assert pair_margins(ours, one, reference=theirs) == pytest.approx([expected], rel=1e-4)
    found = compare_pairs([theirs, ours], rows[0], reference=theirs)
    assert "implicit" not in found["models"][0]
    assert found["models"][1]["implicit"]["mean"] == float(pair_margins(ours, rows[0], reference=theirs)[0] > 0)
    assert found["models"][1]["accuracy"]["mean"] == float(pair_margins(ours, rows[0])[0] > 0)
    # The reference is read once, and not again if it is among the models, by whichever name.
    read: list[int] = []
    compare_pairs([theirs, ours], rows[0], reference=theirs.uri, on_pairs=read.append)
    assert (len(read), n_readings([theirs, ours], theirs.uri)) == (2, 2)
    compare_pairs([ours, ours], rows[0], reference=theirs, on_pairs=read.append)
    assert (len(read), n_readings([ours, ours], theirs), n_readings([ours], None)) == (2 + 3, 3, 1)


def test_a_model_without_weights_here_is_refused() -> None:
    with pytest.raises(ModelNotFound, match="model 'scripted:' has no local weights to compute likelihoods with"):
        predict_choices("scripted:", [("Q?", ("Y", "N"), 0)])


def test_items_that_are_longer_than_the_model_reads_are_counted(tiny_lm_path: Path) -> None:
    from trainers.evaluation.tables import tables

    items = [("Lie? " * 2000, ("Yes.", "No."), 1), ("Lie?", ("Yes.", "No."), 1)]
    found = compare_choices([f"hf:{tiny_lm_path}"], items, names=["tiny"])
    assert found["models"][0]["cut"] == 1
    [(title, _, _)] = tables({"questions": 0, "models": [], "dimensions": [], "differences": [], "choices": found})
    assert title.endswith("; 1 of them (50.0%) are longer than a model reads and were cut")
