"""A society as an environment: the record is that of an ordinary run, and what a learner is told is what happened."""

from __future__ import annotations

import gc
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from sandbox import Observation, Reward, Scenario, ScriptedModel, SocietyEnv, World, keyed_rng, open_run
from sandbox.errors import ScenarioError, SettingsError

SMALL: dict[str, Any] = {"size": 2, "embedder": "hashing", "observer": "scripted:"}


def as_bytes(path: Path) -> bytes:
    """The whole record: conversations, calls, memories, states, measures."""
    run = open_run(path)
    told = [i.as_dict() for i in run.interactions()]
    calls = sorted(run._db.execute("SELECT key, request, reply FROM calls"))
    minds = [run.memories(agent) for agent in run.agents()["agent"]]
    states = run.states().to_dict("list") if run.has_states() else None
    return json.dumps([told, calls, minds, states, run.metrics()], ensure_ascii=False, sort_keys=True).encode()


def reply(request: Any) -> Any:
    """A policy that depends on the request alone."""
    return ScriptedModel().generate([request])[0]


def short(agent: Any, question: str, world: Any) -> Any:
    """A draft, the reviews of the neighbours, and a revision: three waves of calls."""
    draft = yield agent.answer(question)
    reviews = yield [other.review(agent, question, draft) for other in world.audience(agent)]
    revised = yield agent.revise(question, draft, reviews)
    return world.interaction(agent, question, draft=draft.text, feedback=tuple(reviews), revision=revised.text)


def words(interaction: Any, world: Any) -> float:
    """Words of the revision."""
    return float(len(interaction.revision.split()))


REVIEWED = Scenario(questions=["Should the village build a car park?"], protocol=short, reward=words)


@pytest.mark.parametrize(
    ("scenario", "learner", "more"),
    [
        ("prisoners", None, {"size": None, "agents": 8}),
        ("public_goods", None, {}),
        ("public_goods", 1, {}),
        (REVIEWED, None, {"rater": "lm", "reviewers": 2, "memory": "stream"}),
        (REVIEWED, 2, {"rater": "lm", "reviewers": 2}),
        (REVIEWED, None, {"rater": "lm", "reviewers": 1, "memory": "summary", "memory.every": 1}),
    ],
)
def test_an_episode_has_the_record_of_an_ordinary_run(
    tmp_path: Path, scenario: Any, learner: Any, more: dict[str, Any]
) -> None:
    given = {**SMALL, **more}
    model: Any = ScriptedModel(replies=reply)
    World(
        scenario, model=model if learner is None else {"": "scripted:", f"agent:{learner}": model},
        seed=5, out=tmp_path / "run", **given,
    ).run(3)  # fmt: skip
    env = SocietyEnv(scenario, learner=learner, others="scripted:", rounds=3, out=tmp_path / "episodes", **given)
    [episode] = env.rollout(ScriptedModel(replies=reply), seed=5)
    assert as_bytes(tmp_path / "episodes" / "seed-5-1") == as_bytes(tmp_path / "run")
    run, name = open_run(tmp_path / "run"), env.reward
    paid = [it.rewards.get(name) for it in run.interactions() if learner is None or it.agent == learner]
    assert episode.total == pytest.approx(sum(value for value in paid if value is not None))
    assert sum(turn.reward for turn in episode.turns) == pytest.approx(episode.total)
    assert episode.truncated
    assert not episode.terminated
    assert episode.rounds == 3
    assert json.loads(json.dumps(episode.as_dict()))["total"] == episode.total


def test_observations_and_rewards_of_each_step() -> None:
    """Two of prisoners' rounds, both cooperating: 3 points each, whatever the neighbours; the record says who was asked."""
    env = SocietyEnv("prisoners", agents=6, others="scripted:", **{**SMALL, "size": None}, rounds=2)
    observed = env.reset(seed=1)
    assert [one.agent for one in observed] == list(range(6))
    assert {(one.purpose, one.choices, one.round) for one in observed} == {("choose 0", ("cooperate", "defect"), 0)}
    assert [one["role"] for one in observed[0].messages] == ["system", "user"]
    assert json.loads(json.dumps(observed[0].as_dict()))["choices"] == ["cooperate", "defect"]
    observed, rewards, terminated, truncated, infos = env.step(["I cooperate."] * 6)
    assert rewards == dict.fromkeys(range(6), 3.0)
    assert (terminated, truncated, infos["round"]) == (False, False, 1)
    assert "Agent 2: cooperate" in observed[0].messages[-1]["content"]
    observed, rewards, terminated, truncated, infos = env.step({one.key: "Answer: defect" for one in observed})
    assert observed == []
    assert rewards == dict.fromkeys(range(6), 1.0)
    assert (terminated, truncated) == (False, True)
    episode = infos["episode"]
    assert [turn.action for turn in episode.turns] == ["cooperate"] * 6 + ["defect"] * 6
    assert episode.total == 24.0
    with pytest.raises(SettingsError, match="no episode is running; begin one with reset"):
        env.step([])


def test_a_choice_is_recorded_as_it_was_drawn() -> None:
    """A model's probabilities are drawn from by the protocol; the turn holds the option, not the most probable one."""
    env = SocietyEnv("prisoners", agents=12, **{**SMALL, "size": None}, uri="scripted:")
    [episode] = env.rollout(ScriptedModel(), seed=3)
    assert env.world is not None
    chose = {it.agent: it.extra["chose"] for it in open_run(env.world.path).interactions()}
    assert [turn.action for turn in episode.turns] == [chose[turn.agent] for turn in episode.turns]
    assert set(chose.values()) == {"cooperate", "defect"}


def test_a_failed_turn_has_no_reward_unless_it_is_given_one() -> None:
    for failed, total, credit in ((None, 0.0, None), (-2.0, -8.0, -2.0)):
        env = SocietyEnv("prisoners", agents=4, **{**SMALL, "size": None}, failed_reward=failed)
        [episode] = env.rollout(lambda one: "neither")
        assert episode.total == total
        assert {turn.credit for turn in episode.turns} == {credit}


def test_credits_of_later_rounds() -> None:
    """With a discount of 0.5 and a reward of 1 in each of 3 rounds: 1.75, 1.5 and 1."""

    def one(interaction: Any, world: Any) -> float:
        return 1.0

    def say(agent: Any, question: str, world: Any) -> Any:
        draft = yield agent.answer(question)
        return world.interaction(agent, question, draft=draft.text)

    scenario = Scenario(questions=["Why?"], protocol=say, reward=Reward(one, discount=0.5), stop=lambda w: w.round == 3)
    env = SocietyEnv(scenario, learner=0, others="scripted:", rounds=9, **SMALL)
    [episode] = env.rollout(lambda observed: "Because.")
    assert [turn.credit for turn in episode.turns] == [1.75, 1.5, 1.0]
    assert (episode.terminated, episode.truncated, episode.rounds) == (True, False, 3)


def test_a_league_is_drawn_from_by_the_seed() -> None:
    league = [ScriptedModel(replies=["cooperate"]), ScriptedModel(replies=["defect"])]
    for number, model in enumerate(league):
        model.uri = f"self-{number}"
    env = SocietyEnv("prisoners", agents=4, learner=0, league=league, **{**SMALL, "size": None})
    episodes = env.rollout(lambda one: "cooperate", episodes=8)
    drawn = [f"self-{keyed_rng(seed, 'league').choice([0, 1])}" for seed in range(8)]
    assert [episode.others[0] for episode in episodes] == drawn
    assert [episode.total for episode in episodes] == [3.0 if one == "self-0" else 0.0 for one in drawn]


def test_rollouts_do_not_depend_on_how_many_are_played_at_a_time() -> None:
    env = SocietyEnv("public_goods", learner=0, others="scripted:", rounds=2, **SMALL)
    one, all_ = (env.rollout(ScriptedModel(), episodes=5, seed=7, concurrent=n) for n in (1, 5))
    assert [episode.as_dict() for episode in one] == [episode.as_dict() for episode in all_]
    assert [episode.seed for episode in one] == [7, 8, 9, 10, 11]


def test_an_abandoned_environment_leaves_no_thread() -> None:
    before = threading.active_count()
    env = SocietyEnv("prisoners", agents=4, **{**SMALL, "size": None})
    env.reset()
    del env
    gc.collect()
    assert threading.active_count() == before
    with SocietyEnv("prisoners", agents=4, **{**SMALL, "size": None}) as env:
        first = env.reset(1)
        assert [one.as_dict() for one in env.reset(1)] == [one.as_dict() for one in first]


def test_an_error_of_the_society_is_raised_where_it_is_stepped() -> None:
    def say(agent: Any, question: str, world: Any) -> Any:
        draft = yield agent.answer(question)
        return world.interaction(agent, question, draft=draft.text)

    def broken(interaction: Any, world: Any) -> float:
        raise ValueError("no such coin")

    env = SocietyEnv(Scenario(questions=["Why?"], protocol=say, reward=broken), **SMALL)
    env.reset()
    with pytest.raises(ScenarioError, match=r"reward\['broken'\] of the scenario failed: ValueError: no such coin"):
        env.step(["Because."] * 4)
    with pytest.raises(SettingsError, match="no episode is running"):
        env.step([])


def test_what_cannot_be_an_environment_is_refused() -> None:
    with pytest.raises(
        ScenarioError, match="'value_alignment' has no reward, which an environment needs: give it Scenario"
    ):
        SocietyEnv("value_alignment")
    with pytest.raises(SettingsError, match="no reward 'payof'. Did you mean 'payoff'"):
        SocietyEnv("prisoners", reward="payof")
    with pytest.raises(SettingsError, match="leaves other agents without a language model"):
        SocietyEnv("prisoners", learner=0)
    with pytest.raises(SettingsError, match="others and league are given"):
        SocietyEnv("prisoners", others="scripted:", league=["scripted:"])
    with pytest.raises(SettingsError, match="rounds=0 must be at least 1"):
        SocietyEnv("prisoners", rounds=0)
    with pytest.raises(SettingsError, match="no agent is learner='plyer': labels are player.*Did you mean 'player'"):
        SocietyEnv("prisoners", learner="plyer", others="scripted:", **SMALL).reset()
    env = SocietyEnv("prisoners", agents=4, **{**SMALL, "size": None})
    env.reset()
    with pytest.raises(SettingsError, match="1 actions for 4 observations"):
        env.step(["cooperate"])
    with pytest.raises(SettingsError, match=r"the action of agent 0 \(choose 0\) is 3; give a text"):
        env.step([3, 3, 3, 3])  # type: ignore[list-item]
    with pytest.raises(SettingsError, match="no observation has the key 'mine'"):
        env.step({"mine": "cooperate"})


def test_the_learner_of_a_label() -> None:
    env = SocietyEnv(
        REVIEWED,
        learner="good",
        others="scripted:",
        population={"good": 0.5, "bad": 0.5},
        rater="lm",
        reviewers=1,
        **SMALL,
    )
    seen: list[Observation] = []

    def policy(one: Observation) -> str:
        seen.append(one)
        return "4" if one.choices else "It depends on the people."

    env.rollout(policy)
    assert {one.label for one in seen} == {"good"}
    assert len(env.agents) == 2
    assert {one.purpose.split()[0] for one in seen} >= {"answer", "revise"}
