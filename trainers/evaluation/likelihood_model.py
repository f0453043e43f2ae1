"""A model that reads: how likely it finds answers, on the same object that speaks for it elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sandbox.errors import ModelNotFound
from sandbox.models.base import LanguageModel
from sandbox.models.catalog import load_model, resolve


class LikelihoodModel:
    """Likelihoods by a model with weights here.

    Args:
        model: Its URI, or the model itself.
        max_length: Tokens of a prompt with one answer at most, cut as in training.
        dtype: Of the weights, where they are loaded for it.

    Raises:
        ModelNotFound: it is not there, or has no weights here.
    """

    def __init__(self, model: str | LanguageModel, *, max_length: int = 1024, dtype: str = "float32") -> None:
        from trainers.likelihood.tokenization import Encoder

        self.uri = model if isinstance(model, str) else model.uri
        if isinstance(model, str) and resolve(model)[0] == "hf":
            model = load_model(model, **({} if dtype == "float32" else {"dtype": dtype}))
        check_weights(model)
        loaded: Any = model
        self.model: Any = loaded.model
        self.tokenizer: Any = loaded.tokenizer
        self.encoder = Encoder(self.tokenizer, max_length)
        self.max_length = max_length

    def nll(
        self, questions: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]],
        on_questions: Callable[[int], Any] | None = None,
    ) -> list[list[float]]:  # fmt: skip
        """Mean negative log-likelihood of each answer to each question, in nats per token.

        Args:
            questions: Ids of a prompt, and of its answers.
            on_questions: Told how many have just been read.
        """
        from trainers.likelihood.answer_nll import answer_nlls

        pad = self.tokenizer.pad_token_id or self.tokenizer.eos_token_id or 0
        found: list[list[float]] = []
        for start in range(0, len(questions), 64):
            batch = questions[start : start + 64]
            values = answer_nlls(self.model, batch, pad).tolist()
            for _, answers in batch:
                found.append(values[: len(answers)])
                values = values[len(answers) :]
            if on_questions is not None:
                on_questions(len(batch))
        return found


def check_weights(model: str | LanguageModel) -> None:
    """Refuse a model that likelihoods cannot be computed with.

    Raises:
        ModelNotFound: it has no weights here.
    """
    if not (hasattr(model, "model") and hasattr(model, "tokenizer")):
        uri = model if isinstance(model, str) else model.uri
        raise ModelNotFound(
            f"model {uri!r} has no weights here that likelihoods could be computed with; give smollm2, hf:FOLDER or "
            "hf:HUB_NAME, or leave --pairs, --choices and --tasks out"
        )
