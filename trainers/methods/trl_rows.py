"""Rows as token ids in the columns that trainers of TRL read, so that TRL neither applies templates nor truncates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sandbox.errors import TrainingDataError
from sandbox.models.local.chat_template import render_whole
from trainers.methods.kto import answers_to_other_prompts
from trainers.methods.orpo import whole_columns
from trainers.methods.trl_catalog import Layout

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.likelihood.tokenization import Encoder


def encode_for(layout: Layout, rows: Dataset, encoder: Encoder, name: str) -> Dataset:
    """Encode rows for a trainer of TRL.

    Args:
        layout: Columns that the trainer reads.
        rows: Of the kind that the layout is made from.
        encoder: Of the model.
        name: Name of the trainer, for errors.

    Returns:
        Token ids, with a column ``length``.

    Raises:
        TrainingDataError: no row has what the trainer compares.
    """
    return _ENCODERS[layout](rows, encoder, name)


def _pairs(rows: Dataset, encoder: Encoder, name: str) -> Dataset:
    """prompt_ids, chosen_ids and rejected_ids."""
    from trainers.likelihood.tokenization import encode_preferences

    del name
    return encode_preferences(rows, encoder)


def _whole_pairs(rows: Dataset, encoder: Encoder, name: str) -> Dataset:
    """As :func:`_pairs`, and whole texts of prompt and answer with their labels."""
    return _pairs(rows, encoder, name).map(whole_columns)


def _unpaired(rows: Dataset, encoder: Encoder, name: str) -> Dataset:
    """prompt_ids, completion_ids, label, and an answer to another prompt, KL_completion_ids."""
    from trainers.likelihood.tokenization import encode_unpaired

    del name
    encoded = encode_unpaired(rows, encoder)
    return encoded.add_column("KL_completion_ids", answers_to_other_prompts(encoded))


def _demonstrations(rows: Dataset, encoder: Encoder, name: str) -> Dataset:
    """input_ids and labels."""
    from trainers.likelihood.tokenization import encode_demonstrations

    del name
    return encode_demonstrations(rows, encoder)


def _triples(rows: Dataset, encoder: Encoder, name: str) -> Dataset:
    """prompt_ids, chosen_ids, rejected_ids and reference_ids, of ranked rows.

    The reference is the best answer; chosen is the second of three or more, else the best; rejected is the last.
    """
    from datasets import Dataset

    from trainers.likelihood.tokenization import encode_ranked

    found = []
    for row in encode_ranked(rows, encoder):
        ranked = sorted(range(len(row["ratings"])), key=lambda n: -row["ratings"][n])
        reference, chosen, rejected = ranked[0], ranked[1 if len(ranked) > 2 else 0], ranked[-1]
        if row["ratings"][chosen] > row["ratings"][rejected]:
            answers = row["answer_ids"]
            found.append(
                {
                    "prompt_ids": row["prompt_ids"],
                    "chosen_ids": answers[chosen],
                    "rejected_ids": answers[rejected],
                    "reference_ids": answers[reference],
                    "length": row["length"],
                }
            )
    if not found:
        raise TrainingDataError(
            f"trainer {name!r} compares answers to the same prompt, and no row has two that are rated differently; record "
            "more rounds, or more reviewers"
        )
    return Dataset.from_list(found)


def _sequences(rows: Dataset, encoder: Encoder, name: str) -> Dataset:
    """chosen_ids and rejected_ids of whole conversations, as a reward model is given them to rate.

    Of conversations longer than the encoder's ``max_length`` the beginning is left out.
    """
    from datasets import Dataset

    del name

    def ids(prompt: Any, answer: Any) -> list[int]:
        asked = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
        said = [{"role": "assistant", "content": answer}] if isinstance(answer, str) else list(answer)
        text = render_whole(encoder.tokenizer, [*asked, *said])
        return list(encoder.tokenizer(text, add_special_tokens=False)["input_ids"])[-encoder.max_length :]

    def columns(row: Mapping[str, Any]) -> dict[str, Any]:
        chosen, rejected = ids(row["prompt"], row["chosen"]), ids(row["prompt"], row["rejected"])
        return {"chosen_ids": chosen, "rejected_ids": rejected, "length": max(len(chosen), len(rejected))}

    return Dataset.from_list([columns(row) for row in rows])


_ENCODERS: dict[Layout, Callable[[Any, Any, str], Any]] = {
    "pairs": _pairs,
    "whole_pairs": _whole_pairs,
    "sequences": _sequences,
    "triples": _triples,
    "unpaired": _unpaired,
    "demonstrations": _demonstrations,
}
