"""Checks of a run before training, each with advice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from sandbox.store.run import Run
from trainers.diagnosis.feedback_quality import quality_of_run
from trainers.evaluation.side_effects import distinct
from trainers.rows.build import ranked_ratings


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes:
        name: Name of the check.
        value: Measured value; None if there is none.
        ok: Whether the check passed.
        words: Description of the result, with advice if the check failed.
    """

    name: str
    value: float | None
    ok: bool
    words: str


def diagnose(
    run: Run, *, scenario: str | None = None, pairs: str | None = None, quality: bool = True
) -> dict[str, Any]:
    """Check a run for problems that impair training.

    Args:
        run: The run.
        scenario: As for :func:`trainers.diagnosis.feedback_quality.quality_of_run`, as the rest.
        pairs: A file of preferences to check the feedback against.
        quality: Whether to check the feedback against labelled answers.

    Returns:
        ``run``, ``findings`` (a list of {name, value, ok, words}) and ``feedback`` (the quality; None if not asked for).
    """
    frame, feedback = run.frame(), run.feedback()
    findings = [
        _failed(frame), _unreadable(feedback), _spread(feedback, run.scale), _alike(frame), _unchanged(frame),
        _gain(frame, run.dimensions[0]), _candidates(run),
    ]  # fmt: skip
    found = quality_of_run(run, scenario=scenario, pairs=pairs) if quality else None
    if found is not None:
        findings.append(_worth(found))
        if found.get("controls"):
            findings.append(_controls(found["controls"]))
    return {"run": str(run.path), "findings": [asdict(one) for one in findings], "feedback": found}


def _failed(frame: pd.DataFrame) -> Finding:
    share = float(frame["error"].notna().mean()) if len(frame) else 0.0
    return Finding(
        "failed interactions", _number(share), share <= 0.05,
        f"{share:.0%} of {len(frame)} interactions failed"
        + ("" if share <= 0.05 else "; see their errors with: sandbox report RUN"),
    )  # fmt: skip


def _unreadable(feedback: pd.DataFrame) -> Finding:
    feedback = feedback[feedback["kind"] == "rating"]
    share = float(feedback["rating"].isna().mean()) if len(feedback) else 0.0
    return Finding(
        "unreadable ratings", _number(share), share <= 0.1,
        f"{share:.0%} of {len(feedback)} ratings by neighbours could not be read"
        + ("" if share <= 0.1 else "; use --rater values, or a model that gives probabilities of 1 to 7"),
    )  # fmt: skip


def _spread(feedback: pd.DataFrame, scale: int) -> Finding:
    ratings = feedback["rating"].dropna()
    spread = float(ratings.std()) if len(ratings) > 1 else math.nan
    least = 0.08 * (scale - 1)
    return Finding(
        "spread of ratings", _number(spread), spread >= least,
        f"ratings have a standard deviation of {spread:.2f} on a scale of 1 to {scale}"
        + ("" if spread >= least else f", under {least:.2f}: raters hardly tell answers apart; use another --rater, or a "
           "mixed --population"),
    )  # fmt: skip


def _alike(frame: pd.DataFrame) -> Finding:
    drafts = [text for text in frame["draft"].dropna() if text.strip()]
    share = distinct(drafts)
    return Finding(
        "variety of drafts", _number(share), share >= 0.3,
        f"{share:.0%} of the two-word sequences of {len(drafts)} drafts are different"
        + ("" if share >= 0.3 else ": drafts are too alike to learn a difference from; raise --set temperature, or ask more "
           "questions"),
    )  # fmt: skip


def _unchanged(frame: pd.DataFrame) -> Finding:
    both = frame[frame["draft"].notna() & frame["revision"].notna()]
    share = float((both["draft"].str.strip() == both["revision"].str.strip()).mean()) if len(both) else 0.0
    return Finding(
        "revisions that change nothing", _number(share), share <= 0.3,
        f"{share:.0%} of {len(both)} revisions repeat their draft"
        + ("" if share <= 0.3 else "; there is nothing to contrast in them: raise --set temperature"),
    )  # fmt: skip


def _gain(frame: pd.DataFrame, dimension: str) -> Finding:
    gains = (frame[f"{dimension}_after"] - frame[f"{dimension}_before"]).dropna()
    share = float((gains > 0).mean()) if len(gains) else math.nan
    return Finding(
        "revisions above their draft", _number(share), share >= 0.2,
        f"{share:.0%} of {len(gains)} revisions are rated above their draft in {dimension}"
        + ("" if share >= 0.2 else "; realignment data need some: see whether agents take feedback up (sandbox measure RUN)"),
    )  # fmt: skip


def _candidates(run: Run) -> Finding:
    ratings = ranked_ratings(run)
    contrasts = sum(len(set(one)) > 1 for one in ratings)
    return Finding(
        "groups with a contrast", float(contrasts), contrasts >= 32,
        f"{contrasts} of {len(ratings)} groups of answers hold a better and a worse one"
        + ("" if contrasts >= 32 else "; that is little to learn from: run more --rounds, a larger --size, or several seeds"),
    )  # fmt: skip


def _worth(found: Mapping[str, Any]) -> Finding:
    if not found["pairs"]:
        return Finding(
            "worth of feedback", None, True, "there are no labelled answers to check it against; give --pairs FILE"
        )
    mean, low = found["mean_of_k"]["mean"], found["mean_of_k"]["low"]
    ok = bool(low > 0.5)
    words = (
        f"the mean of {found['k']:.1f} neighbours puts the better answer first in {mean:.0%} of {found['pairs']} pairs "
        f"({found['source']})"
    )
    return Finding(
        "worth of feedback", _number(mean), ok,
        words + ("" if ok else ", not surely better than chance: do not train on neighbours' ratings; use another --rater"),
    )  # fmt: skip


def _controls(card: Mapping[str, Any]) -> Finding:
    """Whether the observer tells answers from what is no answer."""
    kinds = {who: s for who, s in card["speakers"].items() if s["auc"] is not None and not who.startswith("people")}
    worst = min((s["auc"] for s in kinds.values() if not math.isnan(s["auc"])), default=math.nan)
    ok = not card["faults"]
    words = (
        f"the observer rates people's good answers above every kind of control (lowest AUC {worst:.2f})"
        if ok
        else f"the observer {'; it '.join(card['faults'])}: do not train on its ratings; use another --rater"
    )
    return Finding("observer on controls", _number(worst), ok, words)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
