"""Preference accuracy: how often a model gives the better answer of a pair the higher likelihood. Generates nothing.

A pair is right if the mean log-probability per token of the better answer is higher, which does not favour short answers; a
pair of two equal answers counts as half right. With a reference model, a pair is also compared by the implicit reward of
arXiv:2305.18290: the log-probability of a whole answer under the model minus that under the reference. Knows nothing of
judges or scenarios.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sandbox.metrics.intervals import mean_interval, share_interval
from sandbox.models.base import LanguageModel
from sandbox.models.catalog import full_uri
from trainers.evaluation.likelihood_model import LikelihoodModel
from trainers.evaluation.paired_tests import mcnemar_p
from trainers.rows.format import left_out_of

if TYPE_CHECKING:
    from datasets import Dataset

# Nats per token of the better and the worse answer, and their tokens.
_Likelihoods = tuple[list[float], tuple[int, int]]
# Those of all pairs, and how many pairs were cut.
_Reading = tuple[list[_Likelihoods], int]


def pair_margins(
    model: str | LanguageModel,
    rows: Dataset,
    *,
    reference: str | LanguageModel | None = None,
    max_length: int = 1024,
    dtype: str = "float32",
    on_pairs: Callable[[int], Any] | None = None,
) -> list[float]:
    """Margin by which a model prefers the better answer of each pair to the worse one.

    Args:
        model: A model with local weights, or its URI.
        rows: Preferences.
        reference: Compare implicit rewards instead (arXiv:2305.18290, section 4): the log-probability of a whole answer
            under the model minus that under this model, usually the base.
        max_length: Maximum number of tokens of a prompt with one answer; longer ones are cut as in training.
        dtype: Data type of the weights.
        on_pairs: Callback, receives the number of pairs just read, by either model.

    Returns:
        One number per pair, positive if the model prefers the better answer and exactly 0 for equal answers: in nats per
        token, or with a reference in nats, which times beta is the difference of implicit rewards.

    Raises:
        ModelNotFound: a model does not exist or has no local weights.
    """
    ours, _ = _read(model, rows, max_length, dtype, on_pairs)
    if reference is None:
        return _margins(ours)
    return _implicit(ours, _read(reference, rows, max_length, dtype, on_pairs)[0])


def share_right(margin: float) -> float:
    """How much of a pair a model has right: 1 or 0, or 0.5 where it finds both answers equally likely."""
    return 0.5 if margin == 0 else float(margin > 0)


def _margins(read: Sequence[_Likelihoods]) -> list[float]:
    return [worse - better for (better, worse), _ in read]


def _read(
    model: str | LanguageModel, rows: Dataset, max_length: int, dtype: str, on_pairs: Callable[[int], Any] | None
) -> _Reading:
    """For each pair the nats per token of the better and the worse answer, and their tokens; and how many were cut."""
    from trainers.likelihood.tokenization import encode_preferences, questions_of

    reader = LikelihoodModel(model, max_length=max_length, dtype=dtype)
    questions = questions_of(encode_preferences(rows, reader.encoder))
    nll = [
        # Of equal answers the same number, however they were batched.
        [better, better if answers[0] == answers[1] else worse]
        for (better, worse), (_, answers) in zip(reader.nll(questions, on_pairs), questions, strict=True)
    ]
    lengths = [(len(better), len(worse)) for _, (better, worse) in questions]
    return list(zip(nll, lengths, strict=True)), reader.encoder.cut["rows cut"]


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
        on_pairs: Callback, receives the number of pairs just read; see :func:`n_readings`.

    Returns:
        ``pairs`` (how many), ``equal`` (how many of two equal answers, which count as half right), ``left_out`` (what of
        the file was not used, by reason), ``models`` (name, uri, accuracy with a 95% interval over pairs, mean margin in
        nats per token, ``cut``, the pairs that were longer than ``max_length``, and with a reference ``implicit``, the
        accuracy by implicit reward) and ``differences`` (accuracy of each model less the first's, paired, with McNemar's
        exact ``p``).
    """
    uris = [_uri(model) for model in models]
    called = list(names) if names else uris
    readings = [_read(model, rows, max_length, dtype, on_pairs) for model in models]
    read = [of for of, _ in readings]
    margins = [_margins(of) for of in read]
    right = [[share_right(margin) for margin in of] for of in margins]
    found = [
        {"name": name, "uri": uri, "accuracy": share_interval(hits)._asdict(),
         "margin": sum(of) / len(of), "cut": cut}
        for name, uri, hits, of, (_, cut) in zip(called, uris, right, margins, readings, strict=True)
    ]  # fmt: skip
    if reference is not None:
        same = [_is_same(model, reference) for model in models]
        theirs = read[same.index(True)] if any(same) else _read(reference, rows, max_length, dtype, on_pairs)[0]
        for ours, is_reference, about in zip(read, same, found, strict=True):
            if not is_reference:
                implicit = _implicit(ours, theirs)
                about["implicit"] = share_interval([share_right(margin) for margin in implicit])._asdict()
    return {
        "pairs": len(rows),
        "left_out": left_out_of(rows),
        "max_length": max_length,
        "equal": sum(_text(row["chosen"]) == _text(row["rejected"]) for row in rows),
        "reference": None if reference is None else _uri(reference),
        "models": found,
        "differences": [
            {
                "model": name,
                "against": called[0],
                "accuracy": {
                    **mean_interval([a - b for a, b in zip(hits, right[0], strict=True)])._asdict(),
                    "p": mcnemar_p(hits, right[0]),
                },
            }
            for name, hits in zip(called[1:], right[1:], strict=True)
        ],
    }


def _text(answer: Any) -> str:
    return " ".join(answer[-1]["content"].split())


def n_readings(models: Sequence[str | LanguageModel], reference: str | LanguageModel | None) -> int:
    """How many models :func:`compare_pairs` has read the pairs: the reference too, unless it is one of the others."""
    return len(models) + (reference is not None and not any(_is_same(model, reference) for model in models))


def _is_same(model: str | LanguageModel, other: str | LanguageModel) -> bool:
    return full_uri(_uri(model)) == full_uri(_uri(other))


def _uri(model: str | LanguageModel) -> str:
    return model if isinstance(model, str) else model.uri
