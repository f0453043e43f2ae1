"""Power analysis of the paper in miniature: how many questions and seeds would decide each claim.

The spread of paired differences is taken from a finished form, the quick one for instance:

    python examples/paper.py --quick --out quick
    python examples/paper.py --power quick
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from scipy.stats import nct, t

EFFECT = 0.3  # points of the scale: the smallest difference worth telling, for claims 1 to 3
SHARE = 0.5  # of RRHF's unsteadiness, for claim 4
POWER, LEVEL = 0.8, 0.95
_MOST = 10**7


def spread(found: Mapping[str, Any]) -> float:
    """Standard deviation of the paired differences behind a mean with its t interval; NaN where there are too few."""
    n, half = int(found.get("n") or 0), (found["high"] or math.nan) - (found["mean"] or math.nan)
    return float(half / t.ppf((1 + LEVEL) / 2, n - 1) * math.sqrt(n)) if n > 1 else math.nan


def power_of(n: int, effect: float, sd: float) -> float:
    """Power of the two-sided paired t test with n differences."""
    bound = t.ppf((1 + LEVEL) / 2, n - 1)
    return float(nct.sf(bound, n - 1, abs(effect) / sd * math.sqrt(n)))


def needed(effect: float, sd: float) -> int | None:
    """The smallest number of differences whose test has a power of 80%; None where nothing is known or none suffices."""
    if not sd > 0 or not abs(effect) > 0 or math.isnan(effect):
        return None
    most = 2
    while power_of(most, effect, sd) < POWER:
        most *= 2
        if most > _MOST:
            return None
    least = max(2, most // 2)
    while least < most:
        middle = (least + most) // 2
        least, most = (least, middle) if power_of(middle, effect, sd) >= POWER else (middle + 1, most)
    return most


def power_rows(claims: Sequence[Mapping[str, Any]], unsteadiness: float) -> list[list[str]]:
    """For each difference of each claim: spread, and the number of units for the smallest effect and for the one found.

    Args:
        claims: As from ``answer_claims``; the fourth counts seeds, the others questions.
        unsteadiness: RRHF's, of which the fourth claim's smallest effect is a share; NaN if it was not measured.
    """
    rows = []
    for number, one in enumerate(claims, 1):
        last = number == len(claims)
        smallest = SHARE * unsteadiness if last else EFFECT
        for against, found in one["differences"].items():
            sd = spread(found)
            numbers = [needed(smallest, sd), needed(found["mean"] if found["mean"] is not None else math.nan, sd)]
            shown = ["-" if math.isnan(sd) else f"{sd:.2g}", *("-" if n is None else f"{n:,}" for n in numbers)]
            rows.append([str(number), against, "seeds" if last else "questions", str(found.get("n", 0)), *shown])
    return rows


def power_table(result: Mapping[str, Any], unsteadiness: float) -> str:
    """The rows as Markdown, and what a form of that size would cost."""
    heads = [
        "claim",
        "against",
        "unit",
        "measured with",
        "spread",
        f"for {EFFECT:g} points",
        "for the difference found",
    ]
    rows = power_rows(result["claims"], unsteadiness)
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|", *("| " + " | ".join(r) + " |" for r in rows)]
    text = (
        f"Numbers of units for a power of {POWER:.0%} at a level of {1 - LEVEL:.0%} (paired t test). For claim 4 the smallest "
        f"difference is {SHARE:g} of RRHF's unsteadiness, in seeds."
    )
    return "\n".join([*lines, "", text, *cost(result, rows)])


def cost(result: Mapping[str, Any], rows: Sequence[Sequence[str]]) -> list[str]:
    """A sentence on the time that a form would take which tells claims 1 to 3, from the times of this one's parts."""
    times, size = result.get("seconds_of", {}), result["size"]
    wanted = [int(row[5].replace(",", "")) for row in rows if row[2] == "questions" and row[5] != "-"]
    if not times or not wanted:
        return []
    questions = max(wanted)
    minutes = sum(times.get(part, 0.0) for part in ("comparison", "ablation")) / 60 * questions / size["questions"]
    rest = sum(times.get(part, 0.0) for part in ("societies", "data", "steadiness")) / 60
    return [
        "",
        f"To tell claims 1 to 3 takes {questions:,} questions: at most {minutes + rest:,.0f} minutes at this form's other "
        f"sizes ({minutes:,.0f} for trainings and answers, {rest:,.0f} the rest), {result['seconds'] / 60:,.0f} for this one.",
    ]
