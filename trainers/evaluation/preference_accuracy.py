"""Does a model find better answers likelier than worse ones? Preference accuracy, without generating anything.

A pair counts as right where the mean log-probability per token of the better answer is the higher one, so that length
has no say in it. Against a reference model it counts by the implicit reward of arXiv:2305.18290: how much likelier, as a
whole, the model finds each answer than its reference does. Knows nothing of judges or scenarios.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sandbox.metrics.intervals import mean_interval
from sandbox.models.base import LanguageModel
from sandbox.models.catalog import full_uri
from trainers.evaluation.likelihood_model import LikelihoodModel
from trainers.evaluation.paired_tests import mcnemar_p

if TYPE_CHECKING:
    from datasets import Dataset

# Nats per token of the better and the worse answer, and their tokens.
_Likelihoods = tuple[list[float], tuple[int, int]]


def pair_margins(
    model: str | LanguageModel,
    rows: Dataset,
    *,
    max_length: int = 1024,
    dtype: str = "float32",
    on_pairs: Callable[[int], Any] | None = None,
) -> list[float]:
    """How much likelier a model finds the better answer of each pair than the worse one.

    Args:
        model: A model with weights here, or its URI.
        rows: Preferences.
        max_length: Tokens of a prompt with one answer at most, cut as in training.
        dtype: Of the weights.
        on_pairs: Told how many pairs have just been read.

    Returns:
        In nats per token, one number a pair; above 0 is right.

    Raises:
        ModelNotFound: the model is not there, or has no weights here.
    """
    return _margins(_read(model, rows, max_length, dtype, on_pairs))


def _margins(read: Sequence[_Likelihoods]) -> list[float]:
    return [worse - better for (better, worse), _ in read]


def _read(
    model: str | LanguageModel, rows: Dataset, max_length: int, dtype: str, on_pairs: Callable[[int], Any] | None
) -> list[_Likelihoods]:
    """For each pair the nats per token of the better and the worse answer, and their tokens."""
    from trainers.likelihood.tokenization import encode_preferences, questions_of

    reader = LikelihoodModel(model, max_length=max_length, dtype=dtype)
    questions = questions_of(encode_preferences(rows, reader.encoder))
    nll = reader.nll(questions, on_pairs)
    lengths = [(len(better), len(worse)) for _, (better, worse) in questions]
    return list(zip(nll, lengths, strict=True))


def implicit_margins(
    model: str | LanguageModel, reference: str | LanguageModel, rows: Dataset, *, max_length: int = 1024,
    dtype: str = "float32", on_pairs: Callable[[int], Any] | None = None,
) -> list[float]:  # fmt: skip
    """How much the implicit reward of each pair's better answer exceeds that of the worse one, in units of beta.

    The reward of an answer is its log-probability under the model less that under the reference (arXiv:2305.18290,
    section 4), summed over its tokens.

    Args:
        model: A model with weights here, or its URI.
        reference: What it is seen from, mostly its base.
        rows: Preferences.
        max_length: As in :func:`pair_margins`, as the rest.
        dtype: Of the weights.
        on_pairs: Told how many pairs have just been read, by either model.

    Returns:
        In nats, one number a pair; above 0 is right.
    """
    return _implicit(*(_read(one, rows, max_length, dtype, on_pairs) for one in (model, reference)))


def _implicit(ours: Sequence[_Likelihoods], theirs: Sequence[_Likelihoods]) -> list[float]:
    return [
        (their_better - better) * n_better - (their_worse - worse) * n_worse
        for ((better, worse), (n_better, n_worse)), ((their_better, their_worse), _) in zip(ours, theirs, strict=True)
    ]


def compare_pairs(
    models: Sequence[str | LanguageModel],
    rows: Dataset,
    *,
    names: Sequence[str] | None = None,
    reference: str | LanguageModel | None = None,
    max_length: int = 1024,
    dtype: str = "float32",
    on_pairs: Callable[[int], Any] | None = None,
) -> dict[str, Any]:
    """Preference accuracy of models on the same pairs.

    Args:
        models: The first is what others are compared with.
        rows: Preferences.
        names: What the models are called; by default their URIs.
        reference: Also measure accuracy by the implicit reward, of models other than this one.
        max_length: As in :func:`pair_margins`.
        dtype: Of the weights.
        on_pairs: Told how many pairs have just been read, by any of :func:`readers` of them.

    Returns:
        ``pairs`` (how many), ``models`` (name, uri, accuracy with a 95% interval over pairs, mean margin in nats per
        token, and with a reference ``implicit``, the accuracy by implicit reward) and ``differences`` (accuracy of each
        model less the first's, paired, with McNemar's exact ``p``).
    """
    uris = [_uri(model) for model in models]
    called = list(names) if names else uris
    read = [_read(model, rows, max_length, dtype, on_pairs) for model in models]
    margins = [_margins(of) for of in read]
    right = [[margin > 0 for margin in of] for of in margins]
    found = [
        {"name": name, "uri": uri, "accuracy": mean_interval([float(hit) for hit in hits])._asdict(),
         "margin": sum(of) / len(of)}
        for name, uri, hits, of in zip(called, uris, right, margins, strict=True)
    ]  # fmt: skip
    if reference is not None:
        same = [_is_same(model, reference) for model in models]
        theirs = read[same.index(True)] if any(same) else _read(reference, rows, max_length, dtype, on_pairs)
        for ours, is_reference, about in zip(read, same, found, strict=True):
            if not is_reference:
                implicit = _implicit(ours, theirs)
                about["implicit"] = mean_interval([float(margin > 0) for margin in implicit])._asdict()
    return {
        "pairs": len(rows),
        "reference": None if reference is None else _uri(reference),
        "models": found,
        "differences": [
            {
                "model": name,
                "against": called[0],
                "accuracy": {
                    **mean_interval([float(a) - float(b) for a, b in zip(hits, right[0], strict=True)])._asdict(),
                    "p": mcnemar_p(hits, right[0]),
                },
            }
            for name, hits in zip(called[1:], right[1:], strict=True)
        ],
    }


def readers(models: Sequence[str | LanguageModel], reference: str | LanguageModel | None) -> int:
    """How many models :func:`compare_pairs` has read the pairs: the reference too, unless it is one of the others."""
    return len(models) + (reference is not None and not any(_is_same(model, reference) for model in models))


def _is_same(model: str | LanguageModel, other: str | LanguageModel) -> bool:
    return full_uri(_uri(model)) == full_uri(_uri(other))


def _uri(model: str | LanguageModel) -> str:
    return model if isinstance(model, str) else model.uri
