"""Rows -> token ids, by the chat template of the model.

A prompt is rendered by :func:`sandbox.models.local.chat_template.render`, as for generation, so that both are consistent; an
answer ends with the token that ends a reply, so that a model learns to stop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from sandbox.errors import TrainingDataError
from sandbox.models.local.chat_template import end_of_turn, render
from trainers.rows.validation import scale_of

if TYPE_CHECKING:
    from datasets import Dataset

Turns: TypeAlias = str | Sequence[Mapping[str, str]]


# Of training and of evaluation alike: tokens of a prompt with one answer at most.
MAX_LENGTH = 1024
_CUTS = (
    "prompts cut to their latest turns",
    "prompts cut at the beginning of their last turn",
    "answers cut at their end",
)


def length_limit(model: Any, max_length: int) -> int:
    """``max_length``, or the number of positions of a model that has fewer."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return min(max_length, int(positions)) if positions else max_length


class Encoder:
    """Turns prompts and answers into token ids of at most ``max_length`` together.

    Where they do not fit, the prompt is cut down to what the longest answer leaves, though not below half of
    ``max_length``: its earliest turns go, whole, and the system message and the last turn stay; of a last turn that is too
    long by itself the beginning goes. Then the answers lose their end, with the end token: what was cut off did not stop
    there. So an answer always keeps a token to learn from.

    Args:
        tokenizer: Of the model.
        max_length: Tokens of a prompt with one answer at most, 8 or more.
        n_embeddings: Number of embeddings of the model; None if it is not known.

    Attributes:
        cut: How many prompts, answers and rows were too long.
        rows: How many rows were encoded.
    """

    def __init__(self, tokenizer: Any, max_length: int, n_embeddings: int | None = None) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self._n_embeddings = n_embeddings
        self.cut: Counter[str] = Counter(dict.fromkeys(_CUTS, 0))
        self.rows = 0
        self._end = self._ids(end_of_turn(tokenizer))

    def encode(self, prompt: Turns, answers: Sequence[Turns], lead: str = "") -> tuple[list[int], list[list[int]]]:
        """Encode one prompt and its answers.

        Args:
            prompt: Text, or messages that end with a user's turn.
            answers: Texts, or messages of which there is one.
            lead: Words that stand before the answers, and count as the prompt's.

        Returns:
            Ids of the prompt, and of each answer with its end token.

        Raises:
            TrainingDataError: a text contains a token that the model has no embedding of.
            ChatTemplateError: the chat template refuses the conversation.
        """
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        text = render(self.tokenizer, messages, lead)
        before = self._ids(text)
        after = [[*self._continued(text, before, _text(answer)), *self._end] for answer in answers]
        longest = max(map(len, after), default=0)
        room = max(self.max_length - longest, self.max_length // 2)
        is_long = len(before) > room
        if is_long:
            before = self._cut(messages, lead, before, room)
        room = self.max_length - len(before)
        too_long = sum(len(ids) > room for ids in after)
        self.cut["answers cut at their end"] += too_long
        self.cut["rows cut"] += bool(is_long or too_long)
        self.rows += 1
        kept = [ids[:room] for ids in after]
        self.cut["rows with equal answers after the cut"] += len(set(map(tuple, kept))) < len(set(map(tuple, after)))
        return before, kept

    def cut_note(self) -> str | None:
        """How many rows were cut, and where, in words; None if none was."""
        rows = self.cut["rows cut"]
        if not rows:
            return None
        details = ", ".join(f"{n} {what}" for what, n in self.cut.items() if n and what != "rows cut")
        return (
            f"{rows} of {self.rows} rows ({rows / self.rows:.1%}) are longer than max_length={self.max_length} tokens and "
            f"were cut: {details}"
        )

    def _cut(self, messages: Sequence[Mapping[str, str]], lead: str, whole: list[int], room: int) -> list[int]:
        """Ids of a prompt of at most ``room`` tokens: first without its earliest turns, then without the beginning of its
        last turn."""  # noqa: D205, D209
        system = [turn for turn in messages if turn["role"] == "system"]
        talk = [turn for turn in messages if turn["role"] != "system"]
        before = whole
        while len(before) > room and len(talk) > 1:
            # Up to the next turn of the user: a conversation begins with one.
            talk = talk[1:]
            while len(talk) > 1 and talk[0]["role"] != "user":
                talk = talk[1:]
            before = self._ids(render(self.tokenizer, [*system, *talk], lead))
        if len(before) <= room:
            self.cut["prompts cut to their latest turns"] += 1
            return before
        self.cut["prompts cut at the beginning of their last turn"] += 1
        said = self._ids(talk[-1]["content"]) if talk else []
        excess = len(before) - room
        while 0 < excess < len(said):
            rest = {"role": talk[-1]["role"], "content": self.tokenizer.decode(said[excess:]).strip()}
            shorter = self._ids(render(self.tokenizer, [*system, rest], lead))
            if len(shorter) <= room and rest["content"]:
                return shorter
            # Tokens at the seams may differ from those of the whole text.
            excess += max(1, len(shorter) - room)
        # The system message and the template alone are too long. The token that begins every text is what models lean on.
        start = before[:1] if before[0] == self.tokenizer.bos_token_id else []
        return start + before[len(before) - room + len(start) :]

    def _continued(self, text: str, before: list[int], answer: str) -> list[int]:
        """Ids of an answer as they continue those of its prompt; some tokenizers begin a text with a token more."""
        whole = self._ids(text + answer)
        return whole[len(before) :] if whole[: len(before)] == before else self._ids(answer)

    def _ids(self, text: str) -> list[int]:
        ids = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        if self._n_embeddings is not None and ids and max(ids) >= self._n_embeddings:
            raise TrainingDataError(
                f"a row contains {self.tokenizer.convert_ids_to_tokens(max(ids))!r}, a token of the tokenizer that the model "
                "has no embedding of; remove it from the rows"
            )
        return ids


def encoder_for(model: Any, tokenizer: Any, max_length: int) -> Encoder:
    """An encoder with the limits of a model: its positions and its embeddings."""
    n = int(model.get_input_embeddings().weight.shape[0])
    return Encoder(tokenizer, length_limit(model, max_length), n)


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


def encode_pairs(rows: Dataset, encoder: Encoder) -> Dataset:
    """Preferences as ids of ranked rows of two answers, the first rated better; columns of :func:`encode_ranked`."""
    return _dataset(
        {
            "prompt_ids": row["prompt_ids"],
            "answer_ids": [row["chosen_ids"], row["rejected_ids"]],
            "ratings": [2.0, 1.0],
            "scale": 2.0,
            "length": len(row["prompt_ids"]) + len(row["chosen_ids"]) + len(row["rejected_ids"]),
        }
        for row in encode_preferences(rows, encoder)
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
