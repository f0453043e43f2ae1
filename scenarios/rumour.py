"""A false claim is introduced by a few agents; how many come to believe it, with and without fact-checking neighbours?

After models of rumour spreading on networks (Daley and Kendall 1964; Moreno, Nekovee and Pacheco 2004) and of correction
(Walter and others 2020). The prompts of tellers say that the claim is true, those of checkers that they found it false,
those of listeners nothing; in each round all agents hear what their neighbours said in the previous round (protocol
``gossip``) and answer yes or no. Its belief, from 0 to 1, and how often it has heard a teller are an agent's state. With
``correction=3`` all are told before the third round that the claim is false.

See ``belief`` over the rounds (``sandbox plot RUN measures``): it starts at the model's own opinion, before any agent has
heard anything; tellers raise it, checkers and the correction lower it. ``contact`` compares listeners who heard a teller
with the others, and ``reached`` is the share who ever did; the map is drawn by ``--set by=state.belief``. In
``scenarios.baselines.rumour_never_heard``, the rumour without language, a fifth (0.203) of a large crowd never hears it.
Known limits: a belief is the model's probability of "yes", and small models prefer one word whatever the question: compare
rounds and settings, not levels; there is one claim, in English.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sandbox import Interaction, Measure, Scenario, World

CLAIM = "the water of the village well makes people ill"
ROLES = {
    "teller": f"You have heard that {CLAIM}, you are sure of it, and you tell everybody.",
    "checker": "You had the water of the village well tested in a laboratory: it is clean, and nobody fell ill. You say so.",
}


CORRECTION = "A laboratory has tested the water of the village well: it is clean, and makes nobody ill."


def scenario(checkers: float = 0.0, tellers: float = 0.22, correction: int = 0) -> Scenario:
    """A false claim is introduced by a few agents; how many believe it, with and without fact-checking neighbours?

    Args:
        checkers: Share of the agents who know that the claim is false, in [0, 1].
        tellers: Share of the agents who spread it, in (0, 1].
        correction: Round, from 1, before which all are told that the claim is false; 0 for never.
    """
    shares = {"teller": tellers, "checker": checkers, "listener": 1 - tellers - checkers}
    return Scenario(
        name="rumour",
        questions=[f"Is it true that {CLAIM}?"],
        population={label: share for label, share in shares.items() if share},
        roles=ROLES,
        options=("yes", "no"),
        protocol="gossip",
        state=lambda agent, world: {"belief": {"teller": 1.0, "checker": 0.0}.get(agent.label, 0.5), "heard": 0},
        settle=settle,
        events={correction - 1: correct} if correction else {},
        reward={"fidelity": fidelity, "truth": truth},
        measures={
            "belief": Measure(belief, unit="mean belief", limits=(0, 1), panel="belief"),
            "told": Measure(told, unit="mean belief", limits=(0, 1), panel="belief"),
            "believers": Measure(believers, unit="share of listeners", limits=(0, 1), panel="listeners"),
            "reached": Measure(reached, unit="share of listeners", limits=(0, 1), panel="listeners"),
            "contact": Measure(contact, unit="difference of belief", limits=(-1, 1)),
        },
    )


def correct(world: World) -> None:
    """All are told that the claim is false."""
    world.tell(CORRECTION)


def settle(world: World, interactions: Sequence[Interaction]) -> None:
    """Take over what agents said that they believe, and count the tellers that they heard."""
    for it in interactions:
        state = world.members[it.agent].state
        if it.extra.get("choice"):
            state["belief"] = it.extra["choice"]["yes"]
        state["heard"] += sum(world.members[f.reviewer].label == "teller" for f in it.feedback)


def _beliefs(interactions: Sequence[Interaction], label: str) -> dict[int, float]:
    """Belief of each agent of a label in the claim, in [0, 1], by its index."""
    return {it.agent: it.extra["choice"]["yes"] for it in interactions if it.label == label and it.extra.get("choice")}


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def belief(interactions: Sequence[Interaction], world: World) -> float | None:
    """Mean belief of listeners, 0 to 1."""
    return _mean(list(_beliefs(interactions, "listener").values()))


def believers(interactions: Sequence[Interaction], world: World) -> float | None:
    """Share of listeners with a belief above one half, 0 to 1."""
    return _mean([float(p > 0.5) for p in _beliefs(interactions, "listener").values()])


def contact(interactions: Sequence[Interaction], world: World) -> float | None:
    """Belief of listeners who heard a teller, minus others', -1 to 1."""
    beliefs = _beliefs(interactions, "listener")
    met = {it.agent for it in interactions if any(world.members[f.reviewer].label == "teller" for f in it.feedback)}
    near = _mean([p for agent, p in beliefs.items() if agent in met])
    far = _mean([p for agent, p in beliefs.items() if agent not in met])
    return None if near is None or far is None else near - far


def fidelity(interaction: Interaction, world: World) -> float | None:
    """Share of the claim's words that the agent passed on, 0 to 1."""
    claim, said = (set(re.findall(r"\w+", text.lower())) for text in (CLAIM, interaction.draft or ""))
    return len(claim & said) / len(claim) if said else None


def truth(interaction: Interaction, world: World) -> float | None:
    """1 minus the agent's belief in the claim, 0 to 1."""
    return 1 - interaction.extra["choice"]["yes"] if interaction.extra.get("choice") else None


def reached(interactions: Sequence[Interaction], world: World) -> float | None:
    """Share of listeners who have heard a teller, now or before, 0 to 1."""
    return _mean([float(agent.state["heard"] > 0) for agent in world.members if agent.label == "listener"])


def told(interactions: Sequence[Interaction], world: World) -> float | None:
    """Mean belief of tellers, 0 to 1: whether the role takes."""
    return _mean(list(_beliefs(interactions, "teller").values()))
