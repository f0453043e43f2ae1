"""Batches of questions, each with several answers, laid out as tensors.

Two layouts give the same likelihoods. *Separate* has a row for each answer with its prompt before it.
*Shared* has a row for each question: the prompt once, then all answers after each other, hidden from one
another by the attention mask and counted on from the prompt by their positions; so a prompt is computed once
instead of once an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Collator:
    """Makes a batch of encoded ranked rows.

    Args:
        pad: Id that fills rows up; never attended to.
        shared: The layout.
    """

    pad: int
    shared: bool

    def __call__(self, questions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Lay out a batch.

        Args:
            questions: With prompt_ids, answer_ids, ratings and scale.

        Returns:
            ``model``: what the model's forward takes, see :func:`trainers.likelihood.answer_nll.add_answer_nll`;
            ``ratings`` and ``mask`` of shape [questions, answers], padded on the right;
            ``scale`` of shape [questions]; ``num_tokens``, those of every answer with its prompt.
        """
        prompts = [list(q["prompt_ids"]) for q in questions]
        answers = [[list(ids) for ids in q["answer_ids"]] for q in questions]
        rows = _shared_rows(prompts, answers) if self.shared else _separate_rows(prompts, answers)
        most = max(map(len, answers))
        ratings = torch.zeros(len(questions), most)
        for number, question in enumerate(questions):
            ratings[number, : len(question["ratings"])] = torch.tensor(question["ratings"], dtype=torch.float32)
        counts = torch.tensor([len(given) for given in answers])
        return {
            "model": self._tensors(rows, sum(map(len, answers))),
            "ratings": ratings,
            "mask": torch.arange(most)[None, :] < counts[:, None],
            "scale": torch.tensor([float(q["scale"]) for q in questions]),
            "num_tokens": sum(len(p) + len(a) for p, given in zip(prompts, answers, strict=True) for a in given),
        }

    def _tensors(self, rows: Sequence[_Row], n_answers: int) -> dict[str, Any]:
        width = max(len(row.ids) for row in rows)
        ids = torch.full((len(rows), width), self.pad)
        positions = torch.zeros(len(rows), width, dtype=torch.long)
        segments = torch.full((len(rows), width), -1)  # -1 padding, 0 prompt, n the n-th answer
        for number, row in enumerate(rows):
            end = len(row.ids)
            ids[number, :end] = torch.tensor(row.ids)
            positions[number, :end] = torch.tensor(row.positions)
            segments[number, :end] = torch.tensor(row.segments)
        predicting = [number * width + column for number, row in enumerate(rows) for column in row.predicting]
        return {
            "input_ids": ids,
            "position_ids": positions,
            "attention_mask": _block_mask(segments) if self.shared else (segments >= 0).long(),
            "answer_positions": torch.tensor(predicting),
            "answer_targets": torch.tensor([t for row in rows for t in row.targets]),
            "answer_owner": torch.tensor([owner for row in rows for owner in row.owners]),
            "n_answers": n_answers,
        }


@dataclass(frozen=True)
class _Row:
    """One row of a batch; the last token of an answer is predicted, but need not be read."""

    ids: list[int]
    positions: list[int]
    segments: list[int]
    predicting: list[int]  # columns whose outputs predict ...
    targets: list[int]  # ... these ids ...
    owners: list[int]  # ... of these answers of the batch


def _separate_rows(prompts: Sequence[list[int]], answers: Sequence[Sequence[list[int]]]) -> list[_Row]:
    rows: list[_Row] = []
    for prompt, given in zip(prompts, answers, strict=True):
        for answer in given:
            read, start = prompt + answer[:-1], len(prompt)
            rows.append(
                _Row(
                    ids=read,
                    positions=list(range(len(read))),
                    segments=[0] * len(read),
                    predicting=list(range(start - 1, start - 1 + len(answer))),
                    targets=answer,
                    owners=[len(rows)] * len(answer),
                )
            )
    return rows


def _shared_rows(prompts: Sequence[list[int]], answers: Sequence[Sequence[list[int]]]) -> list[_Row]:
    rows: list[_Row] = []
    owner = 0
    for prompt, given in zip(prompts, answers, strict=True):
        row = _Row(list(prompt), list(range(len(prompt))), [0] * len(prompt), [], [], [])
        for number, answer in enumerate(given, 1):
            start, read = len(row.ids), answer[:-1]
            row.ids.extend(read)
            row.positions.extend(range(len(prompt), len(prompt) + len(read)))
            row.segments.extend([number] * len(read))
            row.predicting.extend([len(prompt) - 1, *range(start, start + len(read))])
            row.targets.extend(answer)
            row.owners.extend([owner] * len(answer))
            owner += 1
        rows.append(row)
    return rows


def _block_mask(segments: Tensor) -> Tensor:
    """Who may look at whom: back only, at the prompt or at one's own answer. Shape [rows, 1, width, width]."""
    width = segments.shape[1]
    back = torch.ones(width, width, dtype=torch.bool).tril()
    mine, others = segments[:, :, None], segments[:, None, :]
    # Padding looks at itself, lest a row of the softmax be empty.
    return (back & ((others == 0) | (others == mine)))[:, None]
