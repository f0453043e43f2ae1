"""Rewards of the included scenarios: each gives rows of its own outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sandbox import Request, Run, ScriptedModel, World, load_scenario, open_run
from sandbox.models.base import Reply

# Scenarios whose outcome is what the rubric rates.
RATED = {"adversarial", "code_of_conduct", "value_alignment"}
REWARDS = {
    "commons": {"catch", "survival"},
    "jury": {"agreement"},
    "market": {"sales"},
    "misinformation": {"truth"},
    "norm_emergence": {"agreement"},
    "prisoners": {"payoff", "welfare", "cooperation"},
    "public_goods": {"payoff", "contribution", "welfare"},
    "rumour": {"fidelity", "truth"},
}


def react(request: Request) -> Reply:
    """Options with the probability of their place among them; answers of a few words, by the seed."""
    if not request.choices:
        return Reply(f"The water {'makes people ill' if request.seed % 2 else 'is clean'}, {request.seed % 97}.")
    weights = [1 + (request.seed + i) % 5 for i, _ in enumerate(request.choices)]
    probs = {choice: weight / sum(weights) for choice, weight in zip(request.choices, weights, strict=True)}
    return Reply(max(probs, key=probs.__getitem__), probs)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    runs: dict[str, Run] = {}

    def play(name: str) -> Run:
        if name not in runs:
            out = tmp_path_factory.mktemp(name) / "run"
            world = World(name, model=ScriptedModel(replies=react), rater="lm", embedder="hashing", size=4, out=out)
            world.run(2)
            world.close()
            runs[name] = open_run(out)
        return runs[name]

    return play


def test_the_rewards_of_each_scenario() -> None:
    assert {name: set(load_scenario(name, {}).rewards) for name in REWARDS} == REWARDS
    assert not any(load_scenario(name, {}).rewards for name in RATED)


@pytest.mark.needs_torch
@pytest.mark.parametrize(("name", "reward"), [(name, one) for name, all_ in REWARDS.items() for one in sorted(all_)])
def test_each_reward_gives_rows(name: str, reward: str, played: Callable[[str], Run]) -> None:
    from trainers import rows_from

    kinds = ("unpaired", "demonstrations", "prompts")
    rows = {kind: rows_from(played(name), kind, reward=reward, **_share(kind)) for kind in kinds}
    assert all(len(found) for found in rows.values())
    assert set(rows["unpaired"]["label"]) == {True, False}
    if reward != "survival":  # of all fishers alike
        pairs = rows_from(played(name), "preferences", reward=reward)
        assert all(row["gap"] > 0 and row["chosen"] != row["rejected"] for row in pairs)
        assert len(pairs)


def _share(kind: str) -> dict[str, Any]:
    return {"best_share": 0.5} if kind == "demonstrations" else {}


def test_the_options_of_choices_are_what_was_said(played: Callable[[str], Run]) -> None:
    for it in played("prisoners").interactions():
        assert [said.text for said in it.utterances] == [it.extra["chose"]]
        assert it.rewards["cooperation"] == float(it.extra["chose"] == "cooperate")
    for it in played("public_goods").interactions():
        gift, fine = (said.text for said in sorted(it.utterances, key=lambda said: said.stage))
        assert (float(gift or -1), fine) == (it.extra["gift"], "no" if it.extra["fined_agent"] is None else "yes")
    for it in played("commons").interactions():
        assert float(next(said.text for said in it.utterances if said.stage == "fish") or -1) == it.extra["wanted"]


def test_payoffs_of_public_goods_are_by_the_table(played: Callable[[str], Run]) -> None:
    """20 - gift + 0.4 * pot, less 1 for each fine that it imposes and 3 for each that it bears."""
    done = {it.agent: it for it in played("public_goods").interactions(0)}
    for agent, it in done.items():
        group = range(agent // 4 * 4, agent // 4 * 4 + 4)
        pot = sum(done[other].extra["gift"] for other in group)
        fines = sum(done[other].extra["fined_agent"] == agent for other in group)
        expected = 20 - it.extra["gift"] + 0.4 * pot - (it.extra["fined_agent"] is not None) - 3 * fines
        assert it.rewards["payoff"] == pytest.approx(expected)
        assert it.rewards["welfare"] == pytest.approx(sum(done[i].rewards["payoff"] for i in group) / len(group))


def test_the_welfare_of_prisoners_is_that_of_both_players(played: Callable[[str], Run]) -> None:
    """Points of both in a game: 3 for two that cooperate, 1 for two that defect, (5 + 0) / 2 for one of each."""
    both = {2: 3.0, 1: 2.5, 0: 1.0}  # by how many of the two cooperate
    run = played("prisoners")
    near = {agent: set(run.network().neighbors(agent)) for agent in range(len(run.agents()))}
    chose = {it.agent: it.extra["chose"] == "cooperate" for it in run.interactions(0)}
    for it in run.interactions(0):
        games = [both[chose[it.agent] + chose[other]] for other in near[it.agent]]
        assert it.rewards["welfare"] == pytest.approx(sum(games) / len(games))


def test_a_verdict_agrees_with_those_of_the_other_jurors(played: Callable[[str], Run]) -> None:
    done = played("jury").interactions(0)
    sides = [it.extra["vote"]["guilty"] > 0.5 for it in done]
    assert [it.rewards["agreement"] for it in done] == [(sides.count(side) - 1) / 15 for side in sides]


def test_fidelity_is_the_share_of_the_claim_that_is_passed_on(played: Callable[[str], Run]) -> None:
    """Of the, water, of, village, well, makes, people, ill: one answer repeats 5, the other 2."""
    found = {str(it.draft).partition(",")[0]: it.rewards["fidelity"] for it in played("rumour").interactions()}
    assert found == {"The water makes people ill": 5 / 8, "The water is clean": 2 / 8}
