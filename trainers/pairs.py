"""Does a model find the better answer likelier? Its preference accuracy on pairs that somebody has ranked.

Likelihoods are means over an answer's tokens, in nats, so that length alone decides nothing; prompts are rendered as
the model is spoken to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.errors import ModelNotFound
from sandbox.models import LanguageModel, load_model
from trainers.base import RowKind
from trainers.row_checks import check_rows

if TYPE_CHECKING:
    from datasets import Dataset


def pair_margins(model: str | LanguageModel, rows: Dataset, *, max_length: int = 1024) -> list[float]:
    """How much likelier a model finds the better answer of each pair than the worse.

    Args:
        model: With weights here: ``smollm2``, ``hf:FOLDER`` or ``hf:HUB_NAME``.
        rows: Preferences: prompt, chosen, rejected.
        max_length: Tokens of a prompt with one answer at most; longer ones are cut as in training.

    Returns:
        log p(chosen) - log p(rejected) for each row, each divided by its number of tokens: nats per token.

    Raises:
        TrainingDataError: the rows are no preferences.
        ModelNotFound: the model has no weights here.
    """
    import torch

    from trainers.encoding import Encoder

    check_rows(rows, "pairs", RowKind.PREFERENCES)
    speaker: Any = load_model(model)
    if not (hasattr(speaker, "model") and hasattr(speaker, "tokenizer")):
        raise ModelNotFound(f"{speaker.uri} gives no likelihoods of answers; give smollm2, hf:FOLDER or hf:HUB_NAME")
    encoder = Encoder(speaker.tokenizer, max_length)
    margins = []
    with torch.inference_mode():
        for row in rows:
            prompt, answers = encoder.encode(row["prompt"], [row["chosen"], row["rejected"]])
            better, worse = (_mean_log_likelihood(speaker.model, prompt, answer) for answer in answers)
            margins.append(better - worse)
    return margins


def _mean_log_likelihood(model: Any, prompt: list[int], answer: list[int]) -> float:
    import torch

    ids = torch.tensor([prompt + answer], device=model.device)
    # Logits at the places that predict the answer's tokens. Shape [answer, vocabulary].
    logits = model(input_ids=ids, logits_to_keep=len(answer) + 1).logits[0, :-1].float()
    said = ids[0, len(prompt) :, None]
    return float(logits.log_softmax(dim=-1).gather(1, said).mean())


def hits(margins: list[float]) -> list[float]:
    """1 where the better answer is likelier, 0 where the worse is, 0.5 where neither is; their mean is the accuracy."""
    return [1.0 if margin > 0 else 0.0 if margin < 0 else 0.5 for margin in margins]
