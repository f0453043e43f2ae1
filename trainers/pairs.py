"""Does a model find better answers likelier than worse ones? Preference accuracy, without generating anything.

A pair counts as right where the mean log-probability per token of the better answer is the higher one, so that length
has no say in it. Knows nothing of judges or scenarios.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sandbox.errors import ModelNotFound
from sandbox.metrics import mean_interval
from sandbox.models.catalog import resolve

if TYPE_CHECKING:
    from datasets import Dataset


def pair_margins(
    model: str,
    rows: Dataset,
    *,
    max_length: int = 1024,
    dtype: str = "float32",
    on_pairs: Callable[[int], Any] | None = None,
) -> list[float]:
    """How much likelier a model finds the better answer of each pair than the worse one.

    Args:
        model: URI of a model with weights here.
        rows: Preferences.
        max_length: Tokens of a prompt with one answer at most, cut as in training.
        dtype: Of the weights.
        on_pairs: Told how many pairs have just been read.

    Returns:
        In nats per token, one number a pair; above 0 is right.

    Raises:
        ModelNotFound: the model is not there, or has no weights here.
    """
    import torch

    from sandbox.models.loading import load
    from trainers.answers import likelihoods
    from trainers.encoding import Encoder, encode_preferences, questions_of

    kind, rest = resolve(model)
    if kind != "hf":
        raise ModelNotFound(
            f"model {model!r} has no weights here that likelihoods could be computed with; give smollm2, hf:FOLDER or "
            "hf:HUB_NAME, or leave --pairs out"
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded = load(rest, device=device, dtype=dtype)
    encoder = Encoder(loaded.tokenizer, max_length)
    questions = questions_of(encode_preferences(rows, encoder))
    pad = loaded.tokenizer.pad_token_id or loaded.tokenizer.eos_token_id or 0
    margins: list[float] = []
    for start in range(0, len(questions), 64):
        nll = likelihoods(loaded.model, questions[start : start + 64], pad).view(-1, 2)  # [pairs, better and worse]
        margins += (nll[:, 1] - nll[:, 0]).tolist()
        if on_pairs is not None:
            on_pairs(len(nll))
    return margins


def compare_pairs(
    models: Sequence[str],
    rows: Dataset,
    *,
    names: Sequence[str] | None = None,
    on_pairs: Callable[[int], Any] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Preference accuracy of models on the same pairs.

    Args:
        models: URIs; the first is what others are compared with.
        rows: Preferences.
        names: What the models are called; by default their URIs.
        on_pairs: Told how many pairs have just been read.
        **settings: Of :func:`pair_margins`.

    Returns:
        ``pairs`` (how many), ``models`` (name, uri, accuracy with a 95% interval over pairs, mean margin in nats per
        token) and ``differences`` (accuracy of each model less the first's, paired).
    """
    called = list(names) if names else list(models)
    margins = [pair_margins(model, rows, on_pairs=on_pairs, **settings) for model in models]
    right = [[float(margin > 0) for margin in of] for of in margins]
    return {
        "pairs": len(rows),
        "models": [
            {
                "name": name,
                "uri": uri,
                "accuracy": mean_interval(hits)._asdict(),
                "margin": sum(of) / len(of),
            }
            for name, uri, hits, of in zip(called, models, right, margins, strict=True)
        ],
        "differences": [
            {
                "model": name,
                "against": called[0],
                "accuracy": mean_interval([a - b for a, b in zip(hits, right[0], strict=True)])._asdict(),
            }
            for name, hits in zip(called[1:], right[1:], strict=True)
        ],
    }
