"""A jury hears a case: private opinion, deliberation, vote; does deliberation bring its members closer together?

After group polarisation (Myers and Lamm 1976: deliberation moves a group further towards its initial tendency) and
deliberative polls (Fishkin 2009). Jurors have personas from a table, strict and lenient ones; in each round all judge the
same case (protocol ``vote``): each states privately whether the accused is guilty, hears its neighbours' reasons, and
votes.

Compare ``polarisation_private`` with ``polarisation_vote`` (``sandbox plot RUN measures``): 0 if all have the same opinion,
1 if half are certain of each side. ``shift`` is above 0 if deliberation moved the jury further towards its initial
tendency, ``moved`` is the mean distance that jurors moved, ``by_outlook`` the distance between strict and lenient jurors.
Known limits: an opinion is the model's probability of "guilty", and small models prefer one word whatever the case:
compare before and after, not cases with verdicts; there are only four, short and invented cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sandbox import Interaction, Scenario, World, one_a_round, read_personas

JURORS = Path(__file__).parent / "data" / "jurors.csv"
CASES = [
    "A cashier is accused of taking 200 from the till. The till was short on two of her shifts, and a colleague also had a "
    "key. Is she guilty?",
    "A driver is accused of hitting a parked car and leaving. A witness saw a red car like his at night; his bumper has an "
    "old scratch. Is he guilty?",
    "A student is accused of copying an exam. Three of her ten answers repeat her neighbour's mistakes word for word. Is "
    "she guilty?",
    "A tenant is accused of starting a fire by smoking in bed. He had been warned before; the landlord's wiring was forty "
    "years old. Is he guilty?",
]
GUILTY = "guilty"


def scenario(jurors: str | None = None, cases: int = 4) -> Scenario:
    """A jury hears a case: private opinion, deliberation, vote; does deliberation bring its members closer together?

    Args:
        jurors: A table with the columns name, age, job and outlook, in place of the included one.
        cases: Number of cases, one per round.
    """
    return Scenario(
        name="jury",
        questions=CASES[:cases],
        ask=one_a_round,
        personas=read_personas(
            jurors or JURORS, "You are {age}, work as a {job}, and sit on a jury. You are {outlook}."
        ),
        population="column:outlook",
        options=(GUILTY, "not guilty"),
        protocol="vote",
        society={"reviewers": 3},
        measures={
            "polarisation_private": polarisation_private,
            "polarisation_vote": polarisation_vote,
            "shift": shift,
            "moved": moved,
            "by_outlook": by_outlook,
        },
    )


def opinions(interactions: Sequence[Interaction]) -> tuple[NDArray[np.float64], list[str]]:
    """Probability of "guilty" of each juror before and after, shape [jurors, 2]; and their outlooks."""
    whole = [it for it in interactions if it.extra.get("private") and it.extra.get("vote")]
    found = [[it.extra[when][GUILTY] for when in ("private", "vote")] for it in whole]
    return np.array(found, dtype=np.float64).reshape(len(found), 2), [it.label for it in whole]


def polarisation_private(interactions: Sequence[Interaction], world: World) -> float | None:
    """Polarisation of private opinions, 0 (one opinion) to 1."""
    found, _ = opinions(interactions)
    return 4 * float(found[:, 0].var()) if len(found) else None


def polarisation_vote(interactions: Sequence[Interaction], world: World) -> float | None:
    """Polarisation of votes, 0 (one opinion) to 1."""
    found, _ = opinions(interactions)
    return 4 * float(found[:, 1].var()) if len(found) else None


def shift(interactions: Sequence[Interaction], world: World) -> float | None:
    """Mean shift towards the jury's initial tendency, -1 to 1."""
    found, _ = opinions(interactions)
    if not len(found):
        return None
    before, after = found.mean(axis=0)
    return float(np.sign(before - 0.5) * (after - before))


def moved(interactions: Sequence[Interaction], world: World) -> float | None:
    """Mean distance that jurors moved, 0 to 1."""
    found, _ = opinions(interactions)
    return float(np.abs(found[:, 1] - found[:, 0]).mean()) if len(found) else None


def by_outlook(interactions: Sequence[Interaction], world: World) -> float | None:
    """Votes of strict jurors minus lenient ones', -1 to 1."""
    found, outlook = opinions(interactions)
    of = {kind: found[np.array([label == kind for label in outlook], dtype=bool), 1] for kind in ("strict", "lenient")}
    return float(of["strict"].mean() - of["lenient"].mean()) if all(len(part) for part in of.values()) else None
