"""Results of a generation: scores of its society and its model, and whether raters and judge disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from sandbox.metrics.intervals import bootstrap_interval, mean_interval
from sandbox.store.run import open_run
from trainers.evaluation.paired_tests import paired, score_by_question

Verdict = Literal["fooled", "apart"]
Scores = Mapping[str, Mapping[str, Mapping[str, float]]]


def society_scores(path: Path) -> dict[str, Any]:
    """Scores of a society: for each dimension the observers' mean ratings of drafts and of final answers.

    Returns:
        ``interactions``, ``failed``, and under ``scores`` for each dimension D and its draft D_draft {mean, low, high,
        n}: 95% bootstrap intervals over agents; ``rating`` is the same for neighbours' ratings of drafts.
    """
    run = open_run(path)
    frame = run.frame()
    found: dict[str, Any] = {}
    for dimension in run.dimensions:
        before = frame[f"{dimension}_before"]
        for name, column in ((dimension, frame[f"{dimension}_after"].fillna(before)), (f"{dimension}_draft", before)):
            found[name] = _over_agents(column, frame["agent"])
    return {
        "interactions": len(frame),
        "failed": int(frame["error"].notna().sum()),
        "scores": found,
        "rating": _over_agents(frame["rating"], frame["agent"]),
    }


def _over_agents(column: Any, agents: Any) -> dict[str, float]:
    known = column.notna()
    return bootstrap_interval(column[known].tolist(), clusters=agents[known].tolist())._asdict()


def scores_by_question(
    answers: Sequence[Mapping[str, Any]], dimensions: Sequence[str], judges: Sequence[str]
) -> Scores:
    """Mean score of each question: by judge, dimension and question."""
    return {judge: {d: score_by_question(answers, d, judge) for d in dimensions} for judge in judges}


def mean_scores(scores: Scores) -> dict[str, Any]:
    """Mean over questions with a 95% interval: by judge and dimension."""
    return {
        judge: {d: mean_interval(list(of.values()))._asdict() for d, of in theirs.items()}
        for judge, theirs in scores.items()
    }


def paired_differences(ours: Scores, theirs: Scores) -> dict[str, Any]:
    """Paired differences between two generations' models: by judge and dimension."""
    return {judge: {d: paired(of, theirs[judge][d]) for d, of in mine.items()} for judge, mine in ours.items()}


def verdict(raters: Mapping[str, float], judge: Mapping[str, float]) -> Verdict | None:
    """Detect over-optimisation: the raters' score rises while that of the independent judge falls.

    Args:
        raters: Difference between the models of two generations by the society's raters: {mean, low, high}.
        judge: The same difference by the independent judge.

    Returns:
        ``fooled`` if both intervals exclude 0, ``apart`` if only the means differ in sign, else None.
    """
    if raters["low"] > 0 and judge["high"] < 0:
        return "fooled"
    return "apart" if raters["mean"] > 0 > judge["mean"] else None


def model_shares(models: Sequence[str], share: float) -> str | dict[str, float]:
    """Models of the agents in the next society.

    Args:
        models: Models of all generations so far, the newest last.
        share: Share of the agents that use the newest; the others keep the earlier models.

    Returns:
        One model, or shares of several.
    """
    mixed = {models[0]: 1.0}
    for model in models[1:]:
        mixed = {name: (1 - share) * part for name, part in mixed.items()}
        mixed[model] = mixed.get(model, 0.0) + share
    kept = {name: part for name, part in mixed.items() if part > 0}
    return next(iter(kept)) if len(kept) == 1 else kept


def verdict_text(record: Mapping[str, Any], header: Mapping[str, Any]) -> str:
    """Describe the verdict of a generation."""
    sure = "" if record["verdict"] == "fooled" else ", though not significantly"
    return (
        f"generation {record['generation']}: the score by the society's raters ({header['raters']}) rose while that by "
        f"the judge ({header['judge']}) fell{sure}: the model may be exploiting its raters"
    )
