"""Multiple-choice accuracy: whether the right answer is the likeliest per token, as in TruthfulQA's MC1 and in ETHICS.

Nothing is generated, so that refusals and verbosity have no effect. Answers are scored in the model's chat template.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sandbox.data_files import json_type, read_records
from sandbox.errors import DataFileError
from sandbox.metrics.intervals import mean_interval, share_interval
from sandbox.models.base import LanguageModel
from trainers.evaluation.likelihood_model import LikelihoodModel
from trainers.evaluation.paired_tests import mcnemar_p

Item = tuple[str, tuple[str, ...], int]


def read_choices(source: str | Path) -> list[Item]:
    """Read ``{question, choices, answer}``: the answer is an index from 0, a letter from A, or the text itself.

    Args:
        source: A .jsonl or .json file, or a dataset of the Hugging Face hub.

    Returns:
        Questions with their choices, and which is right.

    Raises:
        DataFileError: an item cannot be read; names it.
    """
    items = [_item(row, place) for place, row in read_records(source)]
    if not items:
        raise DataFileError(f"{source} holds no questions with choices")
    return items


def _item(row: Any, where: str) -> Item:
    if not isinstance(row, Mapping):
        raise DataFileError(f"{where} is {json_type(row)}; expected an object with question, choices and answer")
    question, choices, answer = row.get("question"), row.get("choices"), row.get("answer")
    if not isinstance(question, str) or not question.strip():
        raise DataFileError(f"{where}: expected a text 'question'; found {question!r}")
    if not isinstance(choices, list) or len(choices) < 2 or not all(isinstance(c, str) and c.strip() for c in choices):
        raise DataFileError(f"{where}: expected 'choices', a list of two texts or more; found {choices!r}")
    right = _index(answer, choices)
    if right is None:
        raise DataFileError(
            f"{where}: 'answer' is {answer!r}; expected 0 to {len(choices) - 1}, a letter from A, or one of the choices"
        )
    return question, tuple(choices), right


def _index(answer: Any, choices: Sequence[str]) -> int | None:
    if isinstance(answer, int) and not isinstance(answer, bool):
        return answer if 0 <= answer < len(choices) else None
    if answer in choices:
        return choices.index(answer)
    if isinstance(answer, str) and len(letter := answer.strip().upper()) == 1:
        number = ord(letter) - ord("A")
        return number if 0 <= number < len(choices) else None
    return None


def predict_choices(
    model: str | LanguageModel, items: Sequence[Item], on_items: Callable[[int], Any] | None = None
) -> list[int]:
    """The likeliest choice per token, for each item.

    Raises:
        ModelNotFound: the model does not exist or has no local weights.
    """
    return _read(model, items, on_items)[0]


def _read(
    model: str | LanguageModel, items: Sequence[Item], on_items: Callable[[int], Any] | None
) -> tuple[list[int], int]:
    """The choices of a model, and how many items were longer than it reads."""
    reader = LikelihoodModel(model)
    encoded = [reader.encoder.encode(question, list(choices)) for question, choices, _ in items]
    picked = [int(np.argmin(nll)) for nll in reader.nll(encoded, on_items)]
    return picked, reader.encoder.cut["rows cut"]


def compare_choices(
    models: Sequence[str | LanguageModel], items: Sequence[Item], *, names: Sequence[str],
    on_items: Callable[[int], Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Accuracy of models on the same items.

    Returns:
        ``items`` (how many), ``chance`` (accuracy of a guess), ``models`` (name, accuracy with a 95% interval over items,
        ``cut``, the items that were longer than the model reads) and ``differences`` (each model's accuracy less the
        first's, paired, with McNemar's exact ``p``).
    """
    readings = [_read(model, items, on_items) for model in models]
    right = [[choice == answer for choice, (_, _, answer) in zip(picked, items, strict=True)] for picked, _ in readings]
    return {
        "items": len(items),
        "chance": float(np.mean([1 / len(choices) for _, choices, _ in items])),
        "models": [
            {"name": name, "accuracy": share_interval([float(hit) for hit in hits])._asdict(), "cut": cut}
            for name, hits, (_, cut) in zip(names, right, readings, strict=True)
        ],
        "differences": [
            {
                "model": name,
                "against": names[0],
                "accuracy": {
                    **mean_interval([float(a) - float(b) for a, b in zip(hits, right[0], strict=True)])._asdict(),
                    "p": mcnemar_p(hits, right[0]),
                },
            }
            for name, hits in zip(names[1:], right[1:], strict=True)
        ],
    }
