"""Log-likelihoods of given answers by a language model, the same object that generates elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sandbox.errors import ModelNotFound
from sandbox.models.base import LanguageModel
from sandbox.models.catalog import load_model, resolve


class LikelihoodModel:
    """Log-likelihoods by a model with local weights.

    Args:
        model: URI of the model, or the model.
        max_length: Maximum number of tokens of a prompt with one answer; longer ones are cut as in training.
        dtype: Data type of the weights, if they are loaded here.

    Raises:
        ModelNotFound: the model does not exist or has no local weights.
    """

    def __init__(self, model: str | LanguageModel, *, max_length: int = 1024, dtype: str = "float32") -> None:
        from trainers.likelihood.tokenization import encoder_for

        self.uri = model if isinstance(model, str) else model.uri
        if isinstance(model, str) and resolve(model)[0] == "hf":
            model = load_model(model, **({} if dtype == "float32" else {"dtype": dtype}))
        require_local_weights(model)
        loaded: Any = model
        self.model: Any = loaded.model
        self.tokenizer: Any = loaded.tokenizer
        self.encoder = encoder_for(self.model, self.tokenizer, max_length)
        self.max_length = self.encoder.max_length

    def nll(
        self, questions: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]],
        on_questions: Callable[[int], Any] | None = None,
    ) -> list[list[float]]:  # fmt: skip
        """Mean negative log-likelihood of each answer to each question, in nats per token.

        Args:
            questions: Token ids of a prompt, and of its answers.
            on_questions: Callback, receives the number of questions that were read.
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


def require_local_weights(model: str | LanguageModel) -> None:
    """Refuse a model whose log-likelihoods cannot be computed.

    Raises:
        ModelNotFound: the model has no local weights.
    """
    if not (hasattr(model, "model") and hasattr(model, "tokenizer")):
        uri = model if isinstance(model, str) else model.uri
        raise ModelNotFound(
            f"model {uri!r} has no local weights to compute likelihoods with; give smollm2, hf:FOLDER or "
            "hf:HUB_NAME, or leave --pairs, --choices and --tasks out"
        )
