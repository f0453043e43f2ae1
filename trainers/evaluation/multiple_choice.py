"""Multiple choice: does a model find the right answer the likeliest per token? As TruthfulQA's MC1, and ETHICS.

Nothing is generated, so refusals and verbosity have no say. Answers are read in the model's chat template.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sandbox.data_files import read_table
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
    items = [_item(row, f"{source}, item {number}") for number, row in enumerate(read_table(source), 1)]
    if not items:
        raise DataFileError(f"{source} holds no questions with choices")
    return items


def _item(row: Mapping[str, Any], where: str) -> Item:
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


def chosen(
    model: str | LanguageModel, items: Sequence[Item], on_items: Callable[[int], Any] | None = None
) -> list[int]:
    """Which choice a model finds the likeliest per token, for each item.

    Raises:
        ModelNotFound: the model is not there, or has no weights here.
    """
    reader = LikelihoodModel(model)
    encoded = [reader.encoder.encode(question, list(choices)) for question, choices, _ in items]
    return [int(np.argmin(nll)) for nll in reader.nll(encoded, on_items)]


def compare_choices(
    models: Sequence[str | LanguageModel], items: Sequence[Item], *, names: Sequence[str],
    on_items: Callable[[int], Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Accuracy of models on the same items.

    Returns:
        ``items`` (how many), ``chance`` (accuracy of a guess), ``models`` (name, accuracy with a 95% interval over items)
        and ``differences`` (each model's accuracy less the first's, paired, with McNemar's exact ``p``).
    """
    right = [
        [choice == answer for choice, (_, _, answer) in zip(chosen(model, items, on_items), items, strict=True)]
        for model in models
    ]
    return {
        "items": len(items),
        "chance": float(np.mean([1 / len(choices) for _, choices, _ in items])),
        "models": [
            {"name": name, "accuracy": share_interval([float(hit) for hit in hits])._asdict()}
            for name, hits in zip(names, right, strict=True)
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
