"""A jury hears a case: private opinion, deliberation, vote; does deliberation bring its members closer together?

After group polarisation (Myers and Lamm 1976: deliberation moves a group further towards its initial tendency) and
deliberative polls (Fishkin 2009). Jurors have personas from a table, strict and lenient ones; in each round all judge the
same case, in two stages: each decides privately whether the accused is guilty, and says why; then each reads its
neighbours' reasons, and votes. Both opinions, from 0 to 1, are states of the jurors.

Compare ``polarisation_private`` with ``polarisation_vote`` (``sandbox plot RUN measures``): 0 if all have the same opinion,
1 if half are certain of each side. ``shift`` is above 0 if deliberation moved the jury further towards its initial
tendency, ``moved`` is the mean distance that jurors moved, ``by_outlook`` the distance between strict and lenient jurors.
``sandbox plot RUN grid --set by=state.vote`` (or ``state.private``) shows who holds what. In ``scenarios.baselines.averaging``,
the jury without language, jurors never go further than their own mean. Known limits: an opinion is the model's probability
of "guilty", and small models prefer one word whatever the case: compare before and after; there are only four, short cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox import Conversation, Feedback, Interaction, Scenario, World, one_a_round, read_personas, read_questions

DATA = Path(__file__).parent / "data"
PERSONA, GUILTY = "You are {age}, work as a {job}, and sit on a jury. You are {outlook}.", "guilty"


def scenario(jurors: str | None = None, cases: int = 4) -> Scenario:
    """A jury hears a case: private opinion, deliberation, vote; does deliberation bring its members closer together?

    Args:
        jurors: A table with the columns name, age, job and outlook, in place of the included one.
        cases: Number of cases, one per round.
    """
    return Scenario(
        name="jury",
        questions=read_questions(DATA / "jury_cases.txt")[:cases],
        ask=one_a_round,
        personas=read_personas(jurors or DATA / "jurors.csv", PERSONA),
        population="column:outlook",
        options=(GUILTY, "not guilty"),
        stages=[decide, vote],
        state={"private": 0.5, "vote": 0.5},
        settle=settle,
        society={"reviewers": 3},
        reward={"agreement": agreement},
        measures={f.__name__: f for f in (polarisation_private, polarisation_vote, shift, moved, by_outlook)},
    )


def decide(agent: Any, question: str, world: World) -> Conversation:
    """A juror decides privately, and says what it thinks."""
    private, said = yield [agent.choose(question), agent.answer(question)]
    return world.interaction(agent, question, draft=said.text, extra={"private": private.probs and dict(private.probs)})


def vote(agent: Any, question: str, world: World) -> Conversation:
    """A juror reads its own reasons and its neighbours', and votes."""
    said = {index: str(it.draft) for index, it in world.said("decide").items() if not it.error}
    near = [other for other in world.audience(agent) if other.index in said]
    heard = [(f"{agent.name} (you)", said[agent.index]), *((other.name, said[other.index]) for other in near)]
    voted = yield agent.choose(question, turn=1, heard=heard)
    told = tuple(Feedback.unrated(other.index, said[other.index]) for other in near)
    extra = {"vote": voted.probs and dict(voted.probs)}
    return world.interaction(agent, question, draft=said[agent.index], feedback=told, extra=extra)


decide.max_calls = vote.max_calls = lambda agent, world: 2  # type: ignore[attr-defined]


def settle(world: World, interactions: Sequence[Interaction]) -> None:
    """Take over the opinions that could be read."""
    key = "private" if world.stage == "decide" else "vote"
    for it in interactions:
        if it.extra.get(key):
            world.members[it.agent].state[key] = it.extra[key][GUILTY]


def opinions(interactions: Sequence[Interaction]) -> tuple[NDArray[np.float64], list[str]]:
    """Probability of "guilty" of each juror before and after, shape [jurors, 2]; and their outlooks."""
    whole = [it for it in interactions if it.extra.get("private") and it.extra.get("vote")]
    found = [[it.extra[when][GUILTY] for when in ("private", "vote")] for it in whole]
    return np.array(found, dtype=np.float64).reshape(len(found), 2), [it.label for it in whole]


def polarisation_private(interactions: Sequence[Interaction], world: World) -> float | None:
    """Polarisation of private opinions, 0 (one opinion) to 1."""
    return 4 * float(found[:, 0].var()) if len(found := opinions(interactions)[0]) else None


def polarisation_vote(interactions: Sequence[Interaction], world: World) -> float | None:
    """Polarisation of votes, 0 (one opinion) to 1."""
    return 4 * float(found[:, 1].var()) if len(found := opinions(interactions)[0]) else None


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


def agreement(interaction: Interaction, world: World) -> float | None:
    """Share of the other jurors who voted on the same side, 0 to 1."""
    found = {it.agent: it.extra.get("vote") for it in world.said(world.stage).values()}
    votes = {agent: probs[GUILTY] > 0.5 for agent, probs in found.items() if probs}
    if interaction.agent not in votes or len(votes) < 2:
        return None
    mine = votes.pop(interaction.agent)
    return sum(vote == mine for vote in votes.values()) / len(votes)


def by_outlook(interactions: Sequence[Interaction], world: World) -> float | None:
    """Votes of strict jurors minus lenient ones', -1 to 1."""
    found, outlook = opinions(interactions)
    of = {kind: found[np.array([label == kind for label in outlook], dtype=bool), 1] for kind in ("strict", "lenient")}
    return float(of["strict"].mean() - of["lenient"].mean()) if all(len(part) for part in of.values()) else None
