"""Rows of rewards and of dimensions: which answers are compared, how credits become ratings, what is left out."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sandbox import Reward, Scenario, ScriptedModel, World, open_run
from sandbox.cli.main import app
from sandbox.errors import SettingsError, TrainingDataError
from sandbox.models.base import Reply, Request
from sandbox.parallel import JobOutcome
from trainers import demonstration_rows, preference_rows, prompt_rows, ranked_rows, rows_from, unpaired_rows
from trainers.rows.candidates import Candidate, Group
from trainers.rows.format import left_out_of, reward_of
from trainers.rows.rewards import RatingMap, best_share

pytestmark = pytest.mark.needs_torch


def play(agent: Any, question: str, world: Any) -> Any:
    """Give coins: 0 or 10."""
    choice = yield agent.choose(question, ["0", "10"])
    gift = float(choice.draw(random.Random(f"{world.round} {agent.index}")))
    return world.interaction(agent, question, draft=f"I give {gift:.0f}.", extra={"gift": gift})


def gift(interaction: Any, world: Any) -> float:
    """Coins given."""
    return float(interaction.extra["gift"])


def late(interaction: Any, world: Any) -> float | None:
    """Ten times the round, for agents with an even index."""
    return None if interaction.agent % 2 else 10.0 * world.round


def react(request: Request) -> Reply:
    if request.choices:
        return Reply(request.choices[0], dict.fromkeys(request.choices, 1 / len(request.choices)))
    return Reply("I think so.")


def simulate(out: Path, rounds: int = 2, **fields: Any) -> Any:
    given: dict[str, Any] = {"questions": ["How many coins?"], "protocol": play, "reward": {"gift": gift, "late": late}}
    given["society"] = {"recall_distance": 0.0}
    world = World(
        Scenario(name="coins", **{**given, **fields}), model=ScriptedModel(replies=react), rater="lm", embedder="hashing",
        size=2, out=out,
    )  # fmt: skip
    world.run(rounds)
    world.close()
    return open_run(out)


def test_answers_to_the_same_prompt_are_ranked_by_their_reward(tmp_path: Path) -> None:
    """All prompts are the same but for the number of the agent; gifts of 10 and 0 are rated by the map of their mean."""
    run = simulate(tmp_path / "run")
    gifts = [it.extra["gift"] for it in run.interactions()]
    rows = ranked_rows(run, reward="gift")
    [row] = rows
    assert row["completions"] == ["Answer: 10", "Answer: 0"]
    mean = sum(gifts) / 8
    factor = 3 / max(10 - mean, mean)
    assert row["ratings"] == pytest.approx([4 + factor * (10 - mean), 4 - factor * mean])
    assert (row["part"], row["question"], row["scale"]) == ("same_prompt", "How many coins?", 7)
    [system, user] = row["prompt"]
    assert system["content"].startswith("You are Agent ")
    assert user["content"].endswith("Answer with one of: 0, 10.")
    assert left_out_of(rows) == {"candidates said twice": 6}
    assert reward_of(rows) == {
        "name": "gift", "unit": "", "answers": 8, "lowest": 0, "mean": mean, "highest": 10, "points_per_unit": factor,
    }  # fmt: skip


def test_a_gap_is_in_the_unit_of_the_reward(tmp_path: Path) -> None:
    run = simulate(tmp_path / "run")
    [pair] = preference_rows(run, reward="gift", gap=10)
    assert (pair["chosen"][0]["content"], pair["rejected"][0]["content"]) == ("Answer: 10", "Answer: 0")
    wide = preference_rows(run, reward="gift", gap=10.5)
    assert (len(wide), left_out_of(wide)["groups without a pair"]) == (0, 1)


def test_demonstrations_are_the_best_share_and_unpaired_rows_good_above_the_mean(tmp_path: Path) -> None:
    run = simulate(tmp_path / "run")
    [best] = demonstration_rows(run, reward="gift", best_share=0.5)
    assert best["completion"][0]["content"] == "Answer: 10"
    labels = {row["completion"][0]["content"]: row["label"] for row in unpaired_rows(run, reward="gift")}
    assert labels == {"Answer: 10": True, "Answer: 0": False}
    assert len(prompt_rows(run, reward="gift")) == 1


def test_other_prompts_to_the_same_question_are_compared_within_a_round(tmp_path: Path) -> None:
    """Each agent's prompt has its own purse, so that no two are the same: one group for each round with both gifts."""
    from sandbox import Prompts

    prompts = Prompts(choose="You own {state[purse]} coins. {question} Answer with one of: {options}.")

    def settle(world: Any, interactions: Any) -> None:
        for agent in world.members:
            agent.state["purse"] += 10

    begin = {"state": lambda agent, world: {"purse": agent.index}, "settle": settle}
    run = simulate(tmp_path / "run", prompts=prompts, **begin)
    rows = ranked_rows(run, reward="gift")
    rounds = [{it.extra["gift"] for it in run.interactions(round_)} for round_ in (0, 1)]
    assert rounds == [{0, 10}, {0, 10}]
    assert [(row["part"], row["completions"]) for row in rows] == [("same_question", ["Answer: 10", "Answer: 0"])] * 2
    gave = [it.agent for it in run.interactions(1) if it.extra["gift"]]
    assert rows[1]["prompt"][1]["content"].startswith(f"You own {gave[0] + 10} coins.")
    assert len(unpaired_rows(run, reward="gift")) == 8


def test_what_has_no_reward_is_counted_and_later_rewards_are_credited(tmp_path: Path) -> None:
    run = simulate(tmp_path / "run", reward={"late": Reward(late, discount=0.5)})
    assert list(run.credits("late").values()) == [5.0, 5.0, 10.0, 10.0]
    assert left_out_of(unpaired_rows(run, reward="late"))["interactions without a reward"] == 4


def test_the_map_of_credits_keeps_proportions_and_the_mean_is_the_middle() -> None:
    """Credits 0, 1, 5 with mean 2: the farthest, 5, is rated 7; one unit is one point."""
    ratings = RatingMap.of([0, 1, 5])
    assert [ratings.rating(credit) for credit in (0, 1, 2, 5)] == [2, 3, 4, 7]
    assert RatingMap.of([3, 3]).rating(3) == 4


def test_the_best_share_keeps_ties_and_needs_something_worse() -> None:
    def groups(*ratings: float) -> list[Group]:
        return [Group("p", "q", (("user", "q"),), 7, tuple(Candidate(str(i), r) for i, r in enumerate(ratings)))]

    from collections import Counter

    left_out: Counter[str] = Counter()
    assert len(best_share(groups(7, 5, 5, 1), 0.5, left_out)) == 3
    assert left_out == {"answers below the best share": 1}
    assert best_share(groups(4, 4), 0.5, left_out) == []


def test_rows_of_any_dimension(run_dir: Path) -> None:
    run = open_run(run_dir)
    first, second = run.dimensions[:2]
    assert ranked_rows(run, dimension=first).to_list() == ranked_rows(run).to_list()
    rows = ranked_rows(run, dimension=second)
    assert set(rows["part"]) == {"imitation"}
    it = next(it for it in run.interactions() if it.before.value(second) is not None)
    rated = {text: rating for row in rows for text, rating in zip(row["completions"], row["ratings"], strict=True)}
    assert set(rated) <= {text.strip() for it in run.interactions() for text in (it.draft, it.revision) if text}
    assert f"comments of neighbours, who rate {first} only" in left_out_of(rows)
    assert it.draft is not None


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("ranked", {"reward": "gifts"}, r"no reward 'gifts'. Did you mean 'gift'\? Rewards: gift, late"),
        ("ranked", {"dimension": "alignmen"}, r"no dimension 'alignmen'. Did you mean 'alignment'\?"),
        ("ranked", {"gap": 2}, "gap needs a reward, for example reward=payoff; use min_gap for ratings"),
        ("ranked", {"reward": "gift", "min_gap": 2}, "min_gap is of ratings, and reward='gift' is given; use gap"),
        ("ranked", {"reward": "gift", "dimension": "alignment"}, "dimension is of ratings, and reward='gift' is given"),
        ("ranked", {"reward": "gift", "best_share": 0.5}, "best_share would change nothing in ranked rows"),
        ("unpaired", {"reward": "gift", "gap": 2}, "gap would change nothing in unpaired rows"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(
    tmp_path: Path, kind: str, settings: dict[str, Any], words: str
) -> None:
    run = simulate(tmp_path / "run", rounds=1)
    with pytest.raises(SettingsError, match=words):
        rows_from(run, kind, **settings)


def test_a_run_without_rewards_and_a_file_are_refused(run_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"It has none; give some with Scenario\(reward=...\)"):
        ranked_rows(open_run(run_dir), reward="gift")
    from trainers import write_rows

    write_rows(ranked_rows(open_run(run_dir)), tmp_path / "rows.jsonl")
    with pytest.raises(SettingsError, match="rows.jsonl is no run: its rows are rated already"):
        rows_from(str(tmp_path / "rows.jsonl"), "ranked", reward="gift")


def test_from_the_command_line(tmp_path: Path) -> None:
    run = simulate(tmp_path / "run")
    out = tmp_path / "rows.jsonl"
    done = CliRunner().invoke(
        app, ["dataset", str(run.path), "--reward", "gift", "--kind", "ranked", "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    said = done.output
    assert "1 row of ranked" in said
    assert "reward gift: 8 answers, 0 to 10, mean" in said
    assert json.loads(out.read_text(encoding="utf-8"))["completions"] == ["Answer: 10", "Answer: 0"]


def test_a_training_without_ratings_is_told_the_reward(tmp_path: Path) -> None:
    run = simulate(tmp_path / "run", rounds=1)
    given = [
        "train",
        str(run.path),
        "--trainer",
        "policy_gradient",
        "--base",
        "hf:none",
        "--out",
        str(tmp_path / "model"),
    ]
    done = CliRunner().invoke(app, given)
    assert isinstance(done.exception, TrainingDataError)
    assert "no answer of the record has a rating" in str(done.exception)
    assert str(done.exception).endswith("train on one of them with --reward gift or --reward late")


def command(*words: Any) -> Any:
    return CliRunner().invoke(app, [str(word) for word in (*words, "--set", "device=cpu")])


def test_training_from_the_command_line(tiny_lm_path: Path, tmp_path: Path) -> None:
    """A model learns from the pair of choices that the reward makes; the reward is kept beside it, and a wrong one refused."""
    run, base, model = simulate(tmp_path / "run").path, f"hf:{tiny_lm_path}", tmp_path / "model"
    fast = ("--base", base, "--set", "max_steps=1", "--set", "progress=false")
    done = command("train", run, "--reward", "gift", "--trainer", "trl:CPO", "--out", model, *fast)
    assert done.exit_code == 0, done.output
    about = json.loads((model / "training.json").read_text(encoding="utf-8"))
    assert (about["trainer"], about["rows"]["rows"], about["rows"]["reward"]["name"]) == ("trl:CPO", 1, "gift")
    assert "\nreward: gift\n" in (model / "train.yaml").read_text(encoding="utf-8")
    for words in (("train",), ("compare", "--trainers", "sft")):
        done = command(*words, run, "--reward", "gifts", "--out", tmp_path / "none", "--base", base)
        assert isinstance(done.exception, SettingsError)
        assert "has no reward 'gifts'. Did you mean 'gift'?" in str(done.exception)
        assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_comparing_from_the_command_line(tiny_lm_path: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """A trainer of TRL beside a built-in one, on the pair of choices that the reward makes."""

    def here(function: Any, job: Any) -> JobOutcome:
        return JobOutcome(job, function(job))

    monkeypatch.setattr("trainers.comparison.job.run_in_subprocess", here)
    monkeypatch.setattr("trainers.comparison.budgets.run_in_subprocess", here)
    quick = ("--seeds", 1, "--steps", 1, "--judge", "values", "--embedder", "hashing", "--n-questions", 2)
    given = ("--reward", "gift", "--trainers", "trl:CPO,rft", "--base", f"hf:{tiny_lm_path}", "--out", tmp_path / "out")
    done = command("compare", simulate(tmp_path / "run").path, *given, *quick)
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert [(one["name"], one["kind"], one["done"]) for one in found["trainers"]] == [
        ("trl:CPO", "preferences", [0]),
        ("rft", "unpaired", [0]),
    ]
    (pair,) = (tmp_path / "out" / "rows" / "preferences.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(pair)[side][0]["content"] for side in ("chosen", "rejected")] == ["Answer: 10", "Answer: 0"]
