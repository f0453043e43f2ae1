"""Rewards: what scenarios are given and return, their credits, the record, and faults with file and line."""

from __future__ import annotations

import json
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from sandbox import Reward, Scenario, ScriptedModel, World, open_run
from sandbox.errors import SandboxError, ScenarioError
from sandbox.models.base import Reply, Request


def game(agent: Any, question: str, world: Any) -> Any:
    """Draw a coin's side, and say a word on it."""
    side, word = yield [agent.choose(question, ["heads", "tails"]), agent.answer(question)]
    drawn = side.draw(random.Random(f"{world.round} {agent.index}"))
    return world.interaction(agent, question, draft=word.text, extra={"side": drawn})


def settle(world: Any, interactions: list[Any]) -> None:
    """Pay a coin for heads."""
    for it in interactions:
        if it.error is None:
            world.members[it.agent].state["purse"] += float(it.extra["side"] == "heads")


def payoff(interaction: Any, world: Any) -> float:
    """Coins earned in the round."""
    agent = world.members[interaction.agent]
    return agent.state["purse"] - agent.state_before["purse"]


def majority(interaction: Any, world: Any) -> float | None:
    """Share of the round that shows the same side; none in the first round."""
    sides = [it.extra["side"] for it in world.said(world.stage).values() if it.error is None]
    return sides.count(interaction.extra["side"]) / len(sides) if world.round else None


def coins(**fields: Any) -> Scenario:
    given: dict[str, Any] = {"questions": ["Which side?"], "protocol": game, "settle": settle, "state": {"purse": 0.0}}
    return Scenario(name="coins", **{**given, "reward": {"payoff": payoff, "majority": majority}, **fields})


def react(request: Request) -> Reply:
    if not request.choices:
        return Reply("A coin.")
    return Reply("heads", {"heads": 0.5, "tails": 0.5})


def run_coins(out: Path, rounds: int = 3, resume: bool = False, **fields: Any) -> Any:
    model = ScriptedModel(replies=react)
    world = World(coins(**fields), model=model, rater="lm", embedder="hashing", size=2, out=out, resume=resume)
    try:
        return world.run(rounds)
    finally:
        world.close()


def rows(path: Path, table: str) -> list[Any]:
    return sqlite3.connect(path / "run.sqlite").execute(f"SELECT * FROM {table}").fetchall()


def test_a_reward_is_given_the_states_before_and_after_its_round_and_all_of_its_interactions(tmp_path: Path) -> None:
    run = run_coins(tmp_path / "run", rounds=2)
    for it in run.interactions():
        assert it.rewards["payoff"] == float(it.extra["side"] == "heads")
        same = [one for one in run.interactions(it.round) if one.extra["side"] == it.extra["side"]]
        assert it.rewards.get("majority") == (len(same) / 4 if it.round else None)
    assert run.rewards["payoff"] == {"description": "Coins earned in the round.", "discount": 0.0, "unit": ""}
    frame = run.frame()
    assert frame["reward.payoff"].tolist() == [it.rewards["payoff"] for it in run.interactions()]
    assert frame["reward.majority"].isna().sum() == 4


def test_what_was_said_is_recorded_with_the_call_and_the_option_that_was_drawn(tmp_path: Path) -> None:
    run = run_coins(tmp_path / "run", rounds=1)
    for it in run.interactions():
        answer, choice = it.utterances
        assert (answer.purpose, answer.text, choice.purpose, choice.text) == (
            "answer 0", None, "choose 0", it.extra["side"],
        )  # fmt: skip
        asked = run.request(choice.key)
        assert asked is not None
        assert asked.choices == ("heads", "tails")
        assert asked.prefix == "Answer:"
        assert run.call(answer.key)["text"] == "A coin."
    assert not run_coins(tmp_path / "none", rounds=1, reward={}).interactions()[0].utterances


def test_credits_add_the_discounted_rewards_of_later_rounds(tmp_path: Path) -> None:
    """Rewards 1, none, 3 with a discount of 1/2: 1 + 3/4, 3/2, 3."""
    given = {0: 1, 1: None, 2: 3}
    reward = {"late": Reward(lambda it, world: given[world.round], discount=0.5, unit="coins")}
    run = run_coins(tmp_path / "run", reward=reward)
    assert [credit for (_, agent), credit in run.credits("late").items() if agent == 2] == [1.75, 1.5, 3.0]
    assert run.frame().query("agent == 0")["credit.late"].tolist() == [1.75, 1.5, 3.0]
    assert run.rewards == {"late": {"description": "", "discount": 0.5, "unit": "coins"}}
    plain = run_coins(tmp_path / "plain", reward={"late": reward["late"].function})
    assert [credit for (_, agent), credit in plain.credits("late").items() if agent == 2] == [1.0, 3.0]
    with pytest.raises(SandboxError, match=r"no reward 'lat'. Did you mean 'late'\? Rewards: late"):
        run.credits("lat")


def test_a_single_function_gives_its_name(tmp_path: Path) -> None:
    assert list(coins(reward=payoff).rewards) == ["payoff"]
    assert coins(reward=Reward(payoff, 0.9)).rewards["payoff"].discount == 0.9


def test_resumed_and_uninterrupted_runs_have_the_same_rewards(tmp_path: Path) -> None:
    """The second run stops after a round and is resumed; a protocol that reads the last round sees the same."""
    seen: list[Any] = []
    look = {"stop": lambda world: seen.append({i: dict(it.rewards) for i, it in world.previous.items()})}
    run_coins(tmp_path / "whole", rounds=3, **look)
    whole, seen[:] = list(seen), []
    run_coins(tmp_path / "parts", rounds=1, **look)
    run_coins(tmp_path / "parts", rounds=3, resume=True, **look)
    for table in ("rewards", "utterances", "interactions"):
        assert rows(tmp_path / "whole", table) == rows(tmp_path / "parts", table)
    assert whole == [seen[0], *seen[2:]]  # the resumed run evaluates its stop condition again


def test_a_fault_names_the_function_and_keeps_the_replies(tmp_path: Path) -> None:
    def broken(interaction: Any, world: Any) -> float:
        return 1 / 0

    def endless(interaction: Any, world: Any) -> float:
        return float("nan")

    with pytest.raises(ScenarioError, match=r"test_rewards.py:\d+: reward\['broken'\] of the scenario failed: ZeroDiv"):
        run_coins(tmp_path / "run", rounds=1, reward=broken)
    with pytest.raises(
        ScenarioError, match=r"test_rewards.py:\d+: reward\['endless'\] .* returned nan for agent 0 in round 0"
    ):
        run_coins(tmp_path / "run", rounds=1, reward=endless, resume=True)
    with pytest.raises(ScenarioError, match=r"reward\['huge'\] .* returned a whole number that no float can hold"):
        run_coins(tmp_path / "run", rounds=1, reward={"huge": lambda interaction, world: 10**5000}, resume=True)
    run = run_coins(tmp_path / "run", rounds=1, resume=True)
    assert run.manifest["tokens"]["calls"] == 8
    assert len(run.credits("payoff")) == 4


def test_rewards_of_a_repaired_round_are_computed_again(tmp_path: Path) -> None:
    down = {"Agent 1"}

    def failing(request: Request) -> Reply:
        if any(f"You are {name}," in request.messages[0].content for name in down):
            return Reply("", finish_reason="error", error="down")
        return react(request)

    def run(out: Path, resume: bool = False) -> Any:
        model = ScriptedModel(replies=failing)
        world = World(coins(), model=model, rater="lm", embedder="hashing", size=2, out=out, resume=resume)
        world.run(2)
        world.close()
        return open_run(out)

    assert len(run(tmp_path / "run").credits("payoff")) == 6
    down.clear()
    run(tmp_path / "run", resume=True)
    run(tmp_path / "whole")
    for table in ("rewards", "utterances", "states"):
        assert sorted(rows(tmp_path / "run", table)) == sorted(rows(tmp_path / "whole", table))


def test_a_branch_takes_over_rewards_and_stages_keep_what_was_said(tmp_path: Path) -> None:
    def guess(agent: Any, question: str, world: Any) -> Any:
        number = yield agent.number("How many?", 1, 3)
        return world.interaction(agent, "How many?", draft=str(number.value), extra={"n": number.value})

    def play(agent: Any, question: str, world: Any) -> Any:
        return (yield from game(agent, question, world))

    def numbers(request: Request) -> Reply:
        return Reply("2", {c: float(c == "2") for c in request.choices}) if "2" in request.choices else react(request)

    scenario = Scenario(
        name="staged", questions=["Which side?"], stages=[guess, play], reward={"n": lambda it, world: it.extra["n"]}
    )
    given = {"model": ScriptedModel(replies=numbers), "rater": "lm", "embedder": "hashing", "size": 2}
    first = World(scenario, **given, out=tmp_path / "first")
    it = first.run(2).interactions()[0]
    first.close()
    assert next((u.stage, u.purpose, u.question, u.text) for u in it.utterances) == (
        "guess",
        "number 0",
        "How many?",
        "2",
    )
    assert [u.stage for u in it.utterances] == ["guess", "play", "play"]
    assert it.rewards == {"n": 2.0}
    branch = World(scenario, **given, out=tmp_path / "second", branch=f"{tmp_path / 'first'}@1")
    branch.close()
    assert rows(tmp_path / "second", "rewards") == rows(tmp_path / "first", "rewards")[:4]
    assert len(rows(tmp_path / "second", "utterances")) == 12


@pytest.mark.parametrize(
    ("reward", "words"),
    [
        ({"payoff": 3}, r"reward\['payoff'\]: expected a function of \(interaction, world\), found 3"),
        (lambda it, world: 1.0, r"reward: cannot be called '<lambda>'; give it one: reward=\{'payoff': ...\}"),
        ({"a b": payoff}, r"reward\['a b'\]: cannot be called 'a b'; use letters"),
        (Reward(payoff, discount=1.5), r"reward: discount=1.5 must be a number in \[0, 1\]"),
        ("payoff", r"reward: expected a function of \(interaction, world\), Reward\(function\) or a mapping"),
    ],
)
def test_faulty_rewards_are_refused(reward: Any, words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        coins(reward=reward)


def test_a_protocol_may_not_give_rewards(tmp_path: Path) -> None:
    def own(agent: Any, question: str, world: Any) -> Any:
        yield None
        return world.interaction(agent, question, draft="x", rewards={"payoff": 1.0})

    run = run_coins(tmp_path / "run", rounds=1, protocol=own, settle=None, reward={"one": lambda it, world: 1})
    assert "rewards are given, which are computed at the end of the round" in (run.interactions()[0].error or "")


def test_exports_hold_rewards(tmp_path: Path) -> None:
    import pandas as pd

    from sandbox.records import Interaction
    from sandbox.store.export import export_run

    run = run_coins(tmp_path / "run", rounds=1)
    table = pd.read_parquet(export_run(run, "parquet", tmp_path / "out"))
    assert table["reward.payoff"].tolist() == [it.rewards["payoff"] for it in run.interactions()]
    first = export_run(run, "jsonl", tmp_path / "out").read_text(encoding="utf-8").splitlines()[0]
    assert Interaction.from_dict(json.loads(first)) == run.interactions()[0]
