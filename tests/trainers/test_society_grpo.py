"""Reinforcement in a society, by a tiny model with random weights."""

from __future__ import annotations

import json

import pytest
import torch
from typer.testing import CliRunner

from sandbox import registry
from sandbox.cli.main import app
from sandbox.environment.episode import Episode, Observation, Turn
from sandbox.errors import ScenarioError, SettingsError
from sandbox.models.base import Message, Request
from sandbox.models.catalog import load_model
from trainers.finetuning.episode_trainer import weigh_samples
from trainers.finetuning.policy import load_policy
from trainers.finetuning.rollouts import (
    Played,
    Rollouts,
    Sample,
    group_advantages,
    in_batches,
    sample_log_probs,
    sequences_of,
)
from trainers.likelihood.tokenization import encoder_for
from trainers.methods.society_grpo import SocietyGRPO, SocietyGRPOSettings

pytestmark = pytest.mark.needs_torch

FAST = {
    "episodes": 2, "batch_size": 1, "group": 3, "progress": False, "device": "cpu", "learning_rate": 0.02, "epochs": 6,
    "schedule": "constant", "warmup_ratio": 0.0,
    "society": {"agents": 4, "embedder": "hashing"},
}  # fmt: skip


def train(tmp_path, tiny_lm_path, name="m", resume=False, **settings):
    trainer = SocietyGRPO(SocietyGRPOSettings(**{**FAST, **settings}))
    return trainer.train(trainer.make_rows(), base=f"hf:{tiny_lm_path}", out=tmp_path / name, resume=resume)


SCENARIOS = '''
from sandbox import Reward, Scenario, keyed_rng


def choose(agent, question, world):
    choice = yield agent.choose(question, ["8", "9"])
    chose = choice.draw(keyed_rng(world.seed, world.round, agent.index, "draw"))
    return world.interaction(agent, question, draft=chose)


def high(interaction, world):
    """Whether the higher number was chosen."""
    return float(interaction.draft == "9")


def say(agent, question, world):
    draft = yield agent.answer(question)
    return world.interaction(agent, question, draft=draft.text)


def brevity(interaction, world):
    """Minus the number of characters."""
    return -float(len(interaction.draft))


choice = Scenario(questions=["Which number?"], protocol=choose, reward=high)
text = Scenario(questions=["Why?"], protocol=say, reward=Reward(brevity))
'''


@pytest.fixture
def scenarios(tmp_path):
    """A file of two scenarios."""
    (tmp_path / "paid.py").write_text(SCENARIOS, encoding="utf-8")
    return tmp_path / "paid.py"


def test_it_learns_what_pays_best(scenarios, tiny_lm_path, tmp_path, undocumented):
    """One of two numbers is paid: the model comes to choose it more often."""
    society = {"size": 2, "embedder": "hashing"}
    trained = train(
        tmp_path, tiny_lm_path, scenario=f"{scenarios}:choice", society=society, credit="round", max_steps=6
    )
    rewards = [record["reward"] for record in trained.history]
    assert len(rewards) == 6
    assert undocumented("society_grpo", trained) == []
    assert rewards[0] < 3
    assert sum(rewards[-3:]) > sum(rewards[:3])
    assert {"loss", "answer_tokens", "tokens_per_s", "grad_norm"} <= set(trained.history[0])


def test_it_learns_from_texts(scenarios, tiny_lm_path, tmp_path):
    """The shorter the answer, the more it is paid; sampled tokens end with the token that ends a reply."""
    society = {"size": 2, "embedder": "hashing", "max_tokens": 8}
    trained = train(tmp_path, tiny_lm_path, scenario=f"{scenarios}:text", society=society, max_steps=6, credit="round")
    rewards = [record["reward"] for record in trained.history]
    assert sum(rewards[-3:]) > sum(rewards[:3])


def test_a_resumed_training_plays_the_same_episodes(scenarios, tiny_lm_path, tmp_path):
    """Interrupted after 1 of 2 steps and resumed, it has the history of one that was not."""
    small = {
        "scenario": f"{scenarios}:choice",
        "society": {"size": 2, "agents": 2, "embedder": "hashing"},
        "save_steps": 1,
    }
    small |= {"keep_checkpoints": True, "credit": "round"}
    whole = train(tmp_path, tiny_lm_path, "whole", max_steps=2, **small)
    train(tmp_path, tiny_lm_path, "parts", max_steps=1, **small)
    parts = train(tmp_path, tiny_lm_path, "parts", resume=True, max_steps=2, **small)
    assert [r["reward"] for r in parts.history] == [r["reward"] for r in whole.history]
    assert parts.history[-1]["loss"] == pytest.approx(whole.history[-1]["loss"], abs=1e-6)


def test_choices_are_drawn_as_in_a_society(tiny_lm_path):
    """With the probabilities that the same weights give to them there, also where one is the beginning of another."""
    policy = load_policy(f"hf:{tiny_lm_path}", SocietyGRPOSettings(lora=False))
    rollouts = Rollouts(policy.model, encoder_for(policy.model, policy.tokenizer, 512), None)
    lm = load_model(f"hf:{tiny_lm_path}")
    for choices in (("4", "7"), ("1", "10", "3")):
        request = Request((Message("user", "Which?"),), prefix="Answer:", choices=choices)
        [(sample, reply)] = rollouts._act([Observation(0, "", "", 0, "", "choose 0", request)])
        found = sample_log_probs(policy.model, [sample], policy.tokenizer.pad_token_id).options[0].exp().tolist()
        assert found == pytest.approx([*lm.generate([request])[0].choice_probs.values()], abs=1e-4)
        assert reply.choice_probs[choices[sample.chosen]] == 1.0


def test_advantages_of_a_group():
    """Returns 1, 2, 3: mean 2, standard deviation 1."""
    assert group_advantages([1.0, 2.0, 3.0]) == pytest.approx([-1.0, 0.0, 1.0], abs=1e-3)
    assert group_advantages([1.0, 2.0, 6.0], scale=False) == [-2.0, -1.0, 3.0]
    assert group_advantages([4.0, 4.0]) == [0.0, 0.0]


def test_weights_by_episode_and_by_round():
    """Agent 0 earned 1 and 3, agent 1 earned 5 and 1: as episodes 6 and 4; each by itself the other way for agent 0."""

    def played(*rewards):
        turns = tuple(Turn(a, 0, "", "", (), "", (), "", r, r) for a, r in enumerate(rewards))
        samples = [Sample([1], [[2]], 0, 1.0) for _ in rewards]
        return Played(Episode(0, (), turns, {a: [r] for a, r in enumerate(rewards)}), samples)

    group = [played(1.0, 5.0), played(3.0, 1.0)]
    assert [weight for _, weight in weigh_samples(group, "episode", scale=False)] == [1.0, 1.0, -1.0, -1.0]
    assert [weight for _, weight in weigh_samples(group, "round", scale=False)] == [-1.0, 2.0, 1.0, -2.0]
    group[1] = played(None, 1.0)
    assert [weight for _, weight in weigh_samples(group, "round", scale=False)] == [0.0, 2.0, -2.0]


def test_log_probabilities_are_those_of_the_model(make_tiny_lm):
    """Of a text, the mean over its tokens at its temperature; of a choice, normalised over the options."""
    from transformers import AutoModelForCausalLM

    from trainers.likelihood.answer_nll import add_answer_nll

    model = AutoModelForCausalLM.from_pretrained(make_tiny_lm("lm"))
    add_answer_nll(model)
    text, choice = Sample([5, 6, 7], [[8, 9]], 0, 0.5), Sample([5, 6], [[8], [9, 10]], 1, 1.0)
    digit = Sample([5, 6], [[8], [9], [10]], 2, 1.0)

    def logs(prompt, answer, temperature):
        with torch.no_grad():
            logits = model(torch.tensor([prompt + answer])).logits[0] / temperature
        return [logits.log_softmax(-1)[len(prompt) - 1 + i, token].item() for i, token in enumerate(answer)]

    with torch.no_grad():
        found = sample_log_probs(model, [text, choice, digit], 0)
    assert found.actions[0].item() == pytest.approx(sum(logs([5, 6, 7], [8, 9], 0.5)) / 2, abs=1e-4)
    sums = torch.tensor([sum(logs([5, 6], one, 1.0)) for one in ([8], [9, 10])])
    assert found.options[1].tolist() == pytest.approx(sums.log_softmax(0).tolist(), abs=1e-4)
    assert found.actions[1].item() == pytest.approx(found.options[1][1].item())
    sums = torch.tensor([sum(logs([5, 6], [one], 1.0)) for one in (8, 9, 10)])
    assert found.options[2].tolist() == pytest.approx(sums.log_softmax(0).tolist(), abs=1e-4)


def test_options_of_one_token_are_read_as_one_sequence():
    """What bounds memory is the number of sequences, not of turns."""
    digits, words, text = (
        Sample([5, 6], [[1], [2], [3]], 0, 1.0),
        Sample([5], [[1, 2], [3, 4]], 1, 1.0),
        Sample([5, 7], [[1, 2, 3]], 0, 0.7),
    )
    assert [sequences_of(one) for one in (digits, words, text)] == [[[5, 6]], [[5, 1], [5, 3]], [[5, 7, 1, 2]]]
    weighted = [(digits, 1.0), (words, 1.0), (text, -1.0), (digits, 2.0)]
    assert [len(batch) for batch in in_batches(weighted, 2)] == [1, 1, 2]
    assert [len(batch) for batch in in_batches(weighted, 1)] == [1, 1, 1, 1]
    assert [one for batch in in_batches(weighted, 3) for one in batch] == weighted


def test_a_scenario_without_reward_is_refused():
    with pytest.raises(ScenarioError, match="has no reward, which an environment needs"):
        SocietyGRPO(SocietyGRPOSettings(scenario="value_alignment")).make_rows()
    with pytest.raises(SettingsError, match="scenario is an object, which training.json cannot name"):
        SocietyGRPOSettings(scenario=object())


@pytest.mark.skipif(
    "society_grpo" not in {plugin.name for plugin in registry.plugins("trainers")},
    reason="installed before it was added",
)
def test_from_the_command_line_without_rows(tiny_lm_path, tmp_path):
    told = [f"--set={name}" for name in ("episodes=1", "group=2", "max_steps=1", "society.agents=4", "progress=no")]
    arguments = [
        "train",
        "--trainer",
        "society_grpo",
        "--base",
        f"hf:{tiny_lm_path}",
        "--out",
        str(tmp_path / "m"),
        *told,
    ]
    done = CliRunner().invoke(app, [*arguments, "--set", "society.embedder=hashing", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["trainer"] == "society_grpo"
