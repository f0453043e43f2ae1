"""From rows to token ids, by the template that the model is spoken to with later.

A prompt is rendered as :func:`sandbox.models.local.chat_template.render` does for talking, so that training and talking
cannot drift apart; an answer ends with the token that ends a reply, so that a model learns to stop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from sandbox.models.local.chat_template import end_of_turn, render
from trainers.rows.validation import scale_of

if TYPE_CHECKING:
    from datasets import Dataset

Turns: TypeAlias = str | Sequence[Mapping[str, str]]


class Encoder:
    """Turns prompts and answers into token ids of at most ``max_length`` together.

    Where they do not fit, the prompt loses its beginning, down to half of ``max_length``, and the answers
    their end, with the end token: what was cut off did not stop there. So an answer always keeps a token to
    learn from.

    Args:
        tokenizer: Of the model.
        max_length: Tokens of a prompt with one answer at most, 8 or more.

    Attributes:
        cut: How many prompts and answers were too long.
    """

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.cut: Counter[str] = Counter()
        self._end = self._ids(end_of_turn(tokenizer))

    def encode(self, prompt: Turns, answers: Sequence[Turns], lead: str = "") -> tuple[list[int], list[list[int]]]:
        """Encode one prompt and its answers.

        Args:
            prompt: Text, or messages that end with a user's turn.
            answers: Texts, or messages of which there is one.
            lead: Words that stand before the answers, and count as the prompt's.

        Returns:
            Ids of the prompt, and of each answer with its end token.
        """
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        text = render(self.tokenizer, messages, lead)
        before = self._ids(text)
        after = [[*self._continued(text, before, _text(answer)), *self._end] for answer in answers]
        longest = max(map(len, after), default=0)
        room = max(self.max_length - longest, self.max_length // 2)
        if len(before) > room:
            self.cut["prompts cut at their beginning"] += 1
            # The token that begins every text is what models lean on: it stays.
            start = before[:1] if before[0] == self.tokenizer.bos_token_id else []
            before = start + before[len(before) - room + len(start) :]
        room = self.max_length - len(before)
        self.cut["answers cut at their end"] += sum(len(ids) > room for ids in after)
        return before, [ids[:room] for ids in after]

    def _continued(self, text: str, before: list[int], answer: str) -> list[int]:
        """Ids of an answer as they continue those of its prompt; some tokenizers begin a text with a token more."""
        whole = self._ids(text + answer)
        return whole[len(before) :] if whole[: len(before)] == before else self._ids(answer)

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def _text(answer: Turns) -> str:
    return (answer if isinstance(answer, str) else answer[-1]["content"]).strip()


def encode_ranked(rows: Dataset, encoder: Encoder) -> Dataset:
    """Ranked rows as ids: prompt_ids, answer_ids (a list for each answer), ratings, scale, length."""
    return _dataset(
        {
            "prompt_ids": prompt,
            "answer_ids": answers,
            "ratings": [float(rating) for rating in row["ratings"]],
            "scale": scale_of(row),
            "length": len(prompt) + sum(map(len, answers)),
        }
        for row in rows
        for prompt, answers in [encoder.encode(row["prompt"], row["completions"])]
    )


def encode_demonstrations(rows: Dataset, encoder: Encoder) -> Dataset:
    """Demonstrations as ids: input_ids, labels (-100 where nothing is learnt), length."""
    return _dataset(
        {
            "input_ids": prompt + answer,
            "labels": [-100] * len(prompt) + answer,
            "length": len(prompt) + len(answer),
        }
        for row in rows
        for prompt, (answer,) in [encoder.encode(row["prompt"], [row["completion"]])]
    )


def encode_preferences(rows: Dataset, encoder: Encoder) -> Dataset:
    """Preferences as ids: prompt_ids, chosen_ids, rejected_ids, length."""
    return _dataset(
        {
            "prompt_ids": prompt,
            "chosen_ids": chosen,
            "rejected_ids": rejected,
            "length": len(prompt) + max(len(chosen), len(rejected)),
        }
        for row in rows
        for prompt, (chosen, rejected) in [encoder.encode(row["prompt"], [row["chosen"], row["rejected"]])]
    )


def encode_unpaired(rows: Dataset, encoder: Encoder) -> Dataset:
    """Unpaired rows as ids: prompt_ids, completion_ids, label, length."""
    return _dataset(
        {
            "prompt_ids": prompt,
            "completion_ids": answer,
            "label": row["label"],
            "length": len(prompt) + len(answer),
        }
        for row in rows
        for prompt, (answer,) in [encoder.encode(row["prompt"], [row["completion"]])]
    )


def encode_hindsight(rows: Dataset, encoder: Encoder, good: str, bad: str) -> Dataset:
    """Every answer of ranked rows as a demonstration behind words that say how good it is.

    An answer is good if its rating is nearer to the best of its question than to the worst; a lone answer if it is
    rated above the middle of the scale.

    Args:
        rows: Ranked.
        encoder: Of the model.
        good: Words before good answers.
        bad: Words before the others.
    """
    found = []
    for row in rows:
        ratings = row["ratings"]
        middle = (min(ratings) + max(ratings)) / 2 if min(ratings) < max(ratings) else (1 + scale_of(row)) / 2
        for answer, rating in zip(row["completions"], ratings, strict=True):
            lead = good if rating > middle else bad
            prompt, (ids,) = encoder.encode(row["prompt"], [answer], lead)
            found.append(
                {
                    "input_ids": prompt + ids,
                    "labels": [-100] * len(prompt) + ids,
                    "length": len(prompt) + len(ids),
                }
            )
    return _dataset(found)


def questions_of(encoded: Dataset) -> list[tuple[list[int], list[list[int]]]]:
    """Prompts and answers as ids, of encoded rows of any kind that has answers; else an empty list."""
    columns = encoded.column_names
    if "answer_ids" in columns:
        return [(row["prompt_ids"], row["answer_ids"]) for row in encoded]
    if "chosen_ids" in columns:
        return [(row["prompt_ids"], [row["chosen_ids"], row["rejected_ids"]]) for row in encoded]
    if "completion_ids" in columns:
        return [(row["prompt_ids"], [row["completion_ids"]]) for row in encoded]
    if "labels" in columns:
        starts = [sum(label == -100 for label in row["labels"]) for row in encoded]
        return [(row["input_ids"][:n], [row["input_ids"][n:]]) for row, n in zip(encoded, starts, strict=True)]
    return []


def _dataset(rows: Any) -> Dataset:
    from datasets import Dataset

    return Dataset.from_list(list(rows))
