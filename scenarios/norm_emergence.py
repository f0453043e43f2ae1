"""A naming game with language models: does one convention win, and how soon?

After Baronchelli's naming game (arXiv:physics/0509075) as played by language models (Ashery, Aiello and Baronchelli 2025,
arXiv:2410.08948): in each round every agent meets a random neighbour, both name one of a few letters, and both win if they
named the same. The last games of an agent, those that others began included, are its state and stand in its prompt. Letters
are listed in a random order each time, so that none wins by its position. ``scenarios.naming_game`` is the same game without
language, on the same grid: there consensus takes a number of games that grows as the square of the number of agents.

See ``dominance`` over the rounds (``sandbox plot RUN measures``): it rises from about 1 / names to 1 when a convention
wins, which ends the run; ``agreement`` is the share of games that were won, ``names_alive`` the number of letters left. The
map shows who names which letter (``sandbox plot RUN grid --set by=state.letter``, numbered in the order of the options), and
who wins (``by=state.won``). Known limits: a small model may prefer one letter from the start, in which case nothing
emerged: see ``dominance`` in the first round, before any game was played; and all games of a round begin at once, so that
nobody learns within a round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sandbox import Conversation, Interaction, Measure, Prompts, Scenario, World, keyed_rng

LETTERS = "QMFJXBWK"
QUESTION = (
    "You and another player each name a letter. You both win if you name the same letter. Which letter do you name?"
)


def scenario(names: int = 4, remembered: int = 5) -> Scenario:
    """A naming game with language models: does one convention win, and how soon?

    Args:
        names: Number of letters to choose from, 2 to 8.
        remembered: Number of past games in an agent's prompt.
    """

    def settle(world: World, interactions: Sequence[Interaction]) -> None:
        """Both players of each game remember it."""
        for it in interactions:
            if it.error or "partner" not in it.extra:
                continue
            pair = it.extra["mine"], it.extra["theirs"]
            for index, (mine, theirs) in ((it.agent, pair), (it.extra["partner"], pair[::-1])):
                state = world.members[index].state
                state["games"] = [*state["games"], [mine, theirs]][-remembered:]
                state["won"] = sum(a == b for a, b in state["games"]) / len(state["games"])
            if pair[0] is not None:
                world.members[it.agent].state["letter"] = world.scenario.options.index(pair[0])

    return Scenario(
        name="norm_emergence",
        questions=[QUESTION],
        population={"player": 1.0},
        options=tuple(LETTERS[:names]),
        prompts=Prompts(
            answer_system="You are {name}, and you play a game. {persona}",
            heard="The games you played before:\n{said}\n\n",
            choose="{heard}{question}\n\nAnswer with one of: {options}.",
        ),
        protocol=naming_game,
        state={"games": [], "letter": -1, "won": 0.0},
        settle=settle,
        reward={"agreement": agrees},
        measures={
            "dominance": Measure(dominance, unit="share of agents", limits=(0, 1)),
            "agreement": Measure(agreement, unit="share of games", limits=(0, 1)),
            "names_alive": Measure(names_alive, unit="letters", limits=(0, names)),
        },
        stop=lambda world: world.metrics["dominance"] == 1,
    )


def naming_game(agent: Any, question: str, world: World) -> Conversation:
    """Two neighbours each name a letter, given the games that they played before."""
    near = world.audience(agent)
    if not near:
        return world.interaction(agent, question)
    mine, theirs = yield [_play(agent, question, world, 0), _play(near[0], question, world, 1 + agent.index)]
    extra = {"partner": near[0].index, "mine": mine, "theirs": theirs}
    return world.interaction(agent, question, draft=mine or "?", extra=extra)


naming_game.max_calls = lambda agent, world: 2  # type: ignore[attr-defined]


def _play(agent: Any, question: str, world: World, turn: int) -> Conversation:
    """Name a letter, drawn by the model's own probabilities."""
    draw = keyed_rng(world.seed, world.round, agent.index, f"play {turn}")
    told = [
        (f"game {number}", f"you named {mine}, the other named {theirs}: you {'won' if mine == theirs else 'lost'}")
        for number, (mine, theirs) in enumerate(agent.state["games"], 1)
    ]
    options = draw.sample(world.scenario.options, len(world.scenario.options))
    choice = yield agent.choose(question, options, turn=turn, heard=told)
    return choice.draw(draw)


def _named(interactions: Sequence[Interaction]) -> Counter[str]:
    return Counter(it.extra["mine"] for it in interactions if it.extra.get("mine"))


def dominance(interactions: Sequence[Interaction], world: World) -> float | None:
    """Share of agents that named the most frequent letter, 1 / names to 1."""
    named = _named(interactions)
    return max(named.values()) / named.total() if named else None


def agreement(interactions: Sequence[Interaction], world: World) -> float | None:
    """Share of games in which both named the same, 0 to 1."""
    games = [it.extra for it in interactions if it.extra.get("mine")]
    return sum(game["mine"] == game["theirs"] for game in games) / len(games) if games else None


def agrees(interaction: Interaction, world: World) -> bool | None:
    """Whether the partner named the same, 0 or 1."""
    mine, theirs = interaction.extra.get("mine"), interaction.extra.get("theirs")
    return None if mine is None or theirs is None else mine == theirs


def names_alive(interactions: Sequence[Interaction], world: World) -> float:
    """Number of letters that were named."""
    return len(_named(interactions))
