"""Ratings by a reward model: a sequence classifier with one output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sandbox.errors import ModelNotFound
from sandbox.records import Rating

if TYPE_CHECKING:
    pass


class RewardRater:
    """Rate by a reward model of the sequence-classification kind, a folder or a hub name, mapped to 1..scale.

    A single logit goes through the logistic function; of several classes the last one's probability counts. Either
    gives p, and the rating is 1 + (scale - 1) * p.
    """

    name = "reward"

    def __init__(self, rest: str, *, embedder: Any = None, batch_size: int = 16) -> None:
        del embedder
        if not rest:
            raise ModelNotFound("the reward rater needs a model: --rater reward:FOLDER or reward:HUB_NAME")
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        try:
            self._tokenizer = AutoTokenizer.from_pretrained(rest)
            self._model = AutoModelForSequenceClassification.from_pretrained(rest).eval()
        except (OSError, ValueError) as error:
            raise ModelNotFound(f"reward model {rest!r} cannot be loaded as a sequence classifier: {error}") from error
        self.batch_size = batch_size

    def rate(self, items: Sequence[tuple[str, str]], *, rater_of: Any) -> list[Rating]:
        """Rate (question, answer) pairs, in order; whoever asks, a reward model gives the same rating."""
        import torch

        ratings: list[Rating] = []
        for start in range(0, len(items), self.batch_size):
            batch = items[start : start + self.batch_size]
            encoded = self._tokenizer(
                [q for q, _ in batch],
                [a for _, a in batch],
                padding=True,
                truncation=True,
                return_tensors="pt",
            )
            with torch.inference_mode():
                logits = self._model(**encoded).logits.float()
            good = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)
            ratings += [Rating(1 + (rater_of.scale - 1) * float(p)) for p in good[:, -1]]
        return ratings
