"""Learning from one's own answers as a rater of the society rates them, on a tiny random model."""

from __future__ import annotations

import pytest

from sandbox.errors import SettingsError, ToolNotFound, TrainingDataError
from sandbox.records import Rating
from trainers import load_trainer
from trainers.methods.grpo import GRPOSettings
from trainers.methods.online import Reward
from trainers.methods.rloo import RLOO, RLOOSettings
from trainers.rows.format import make_rows

pytestmark = pytest.mark.needs_torch

FAST = {"embedder": "hashing", "answers": 4, "max_tokens": 6, "batch_size": 2, "progress": False, "device": "cpu"}


def prompts(*parts):
    return make_rows(
        "prompts",
        [
            {"prompt": [{"role": "user", "content": f"Question {n}?"}], "part": part, "question": f"Q{n}", "scale": 7.0}
            for n, part in enumerate(parts)
        ],
    )


class Counting:
    """A rater that likes long answers; it stands in for a rater of the society."""

    name = "counting"

    def __init__(self, fails=()):
        self.asked, self.fails = [], fails

    def rate(self, items, *, rater_of):
        self.asked += items
        return [
            Rating(None, raw="unreadable") if answer in self.fails else Rating(1.0 + min(6, len(answer) % 7))
            for _, answer in items
        ]


@pytest.fixture
def counting(monkeypatch):
    made = Counting()
    monkeypatch.setattr("sandbox.raters.base.load_rater", lambda spec, embedder: made)
    return made


def test_it_learns_from_ratings_of_its_own_answers(counting, tiny_lm_path, tmp_path, undocumented):
    trained = load_trainer("grpo", max_steps=3, learning_rate=5e-3, **FAST).train(
        prompts("imitation", "imitation"), base=f"hf:{tiny_lm_path}", out=tmp_path / "m"
    )
    # Two questions with four answers each, three times, on two dimensions.
    assert len(counting.asked) <= 2 * 4 * 3 * 2
    assert {question for question, _ in counting.asked} == {"Q0", "Q1"}
    for record in trained.history:
        assert 1 <= record["reward"] <= 7
        assert 1 <= record["answer_tokens"] <= 6
        assert {"loss", "kl", "tokens_per_s"} <= set(record)
        assert not {"reward_margin", "preference_accuracy"} & set(record)
    assert trained.history[0]["kl"] == pytest.approx(0.0, abs=1e-6)
    assert undocumented("grpo", trained) == []
    assert trained.history[-1]["kl"] > 0


def test_the_same_seed_gives_the_same_answers(counting, tiny_lm_path, tmp_path):
    heard = []
    for out in ("a", "b"):
        counting.asked.clear()
        load_trainer("grpo", max_steps=2, **FAST).train(
            prompts("imitation", "imitation"), base=f"hf:{tiny_lm_path}", out=tmp_path / out
        )
        heard.append(list(counting.asked))
    assert heard[0] == heard[1]


def test_what_cannot_be_rated_teaches_nothing_and_silence_is_rated_lowest(counting):
    """Group A: 'four' is rated 5 and 'x' 2; the unreadable one gets their mean 3.5. Group B: nothing said is 1."""
    counting.fails = ("unreadable",)
    reward = Reward(GRPOSettings(embedder="hashing", max_tokens=9))
    found = reward(
        ["A", "A", "A", "B"],
        ["four", "unreadable", "x", " "],
        question=["qa", "qa", "qa", "qb"],
        completion_ids=[[1], [1], [1], [1]],
    )
    assert found == [5.0, 3.5, 2.0, 1.0]


def test_an_answer_that_was_cut_off_loses_its_last_sentence(counting):
    reward = Reward(GRPOSettings(embedder="hashing", max_tokens=3))
    reward(["A", "A"], ["Talk. And th", "Talk. And th"], question=["q", "q"], completion_ids=[[1, 2, 3], [1, 2]])
    assert {answer for _, answer in counting.asked} == {"Talk.", "Talk. And th"}


def test_requests_to_comment_are_left_out(tiny_lm_path, tmp_path):
    made = load_trainer("grpo", **FAST)
    with pytest.raises(TrainingDataError) as error:
        made.train(prompts("self_critic", "realignment"), base=f"hf:{tiny_lm_path}", out=tmp_path / "m")
    assert str(error.value) == (
        "trainer 'grpo' was given no prompts that ask a question: all rows are of the parts self_critic, realignment. "
        "Make them with: sandbox dataset RUN --kind prompts --out FILE"
    )


def test_who_rates_and_for_what_must_be_there():
    with pytest.raises(
        SettingsError, match=r"has no dimension 'alingment'. Did you mean 'alignment'\? Dimensions: alignment"
    ):
        Reward(GRPOSettings(embedder="hashing", dimension="alingment"))
    with pytest.raises(SettingsError, match="rater=lm needs a language model: --set observer=URI"):
        Reward(GRPOSettings(rater="lm"))
    with pytest.raises(SettingsError, match="answers=1 must be at least 2"):
        load_trainer("grpo", answers=1)


@pytest.mark.parametrize(
    ("loss", "scale"), [("grpo", "group"), ("dapo", "group"), ("dr_grpo", "none"), ("bnpo", "group")]
)
def test_the_loss_is_the_one_named(loss, scale, counting, tiny_lm_path, tmp_path, monkeypatch):
    """By default that of the paper which the trainer cites, a mean over each answer's tokens; TRL's own default differs."""
    from trl import GRPOTrainer

    seen = []
    original = GRPOTrainer.__init__

    def spy(self, *args, **kwargs):
        original(self, *args, **kwargs)
        seen.append((self.args.loss_type, self.args.scale_rewards, self.args.epsilon, self.args.epsilon_high))

    monkeypatch.setattr(GRPOTrainer, "__init__", spy)
    given = {} if loss == "grpo" else {"loss": loss, "clip_high": 0.28}
    load_trainer("grpo", max_steps=1, **FAST, **given).train(
        prompts("imitation", "imitation"), base=f"hf:{tiny_lm_path}", out=tmp_path / "m"
    )
    assert seen == [(loss, scale, 0.2, None if loss == "grpo" else 0.28)]
    with pytest.raises(
        SettingsError, match="loss='drgrpo' is not one of grpo, dapo, dr_grpo, bnpo. Did you mean 'dr_grpo'?"
    ):
        load_trainer("grpo", loss="drgrpo")


def test_rloo_learns_from_ratings_of_its_own_answers_too(counting, tiny_lm_path, tmp_path, monkeypatch, undocumented):
    """The baseline of an answer is the mean of the others, and the settings reach TRL."""
    from trl import RLOOTrainer

    seen = []
    original = RLOOTrainer.__init__

    def spy(self, *args, **kwargs):
        original(self, *args, **kwargs)
        a = self.args
        seen.append(
            (a.num_generations, a.beta, a.epsilon, a.normalize_advantages, a.max_completion_length, a.temperature)
        )

    monkeypatch.setattr(RLOOTrainer, "__init__", spy)
    settings = RLOOSettings(max_steps=2, learning_rate=5e-3, beta=0.1, clip=0.3, normalize=True, **FAST)
    trained = RLOO(settings).train(prompts("imitation", "imitation"), base=f"hf:{tiny_lm_path}", out=tmp_path / "m")
    assert seen == [(4, 0.1, 0.3, True, 6, 1.0)]
    assert {question for question, _ in counting.asked} == {"Q0", "Q1"}
    for record in trained.history:
        assert 1 <= record["reward"] <= 7
        assert {"loss", "kl", "answer_tokens"} <= set(record)
    assert undocumented("rloo", trained) == []


def test_an_answer_that_ends_at_the_limit_is_whole(counting):
    reward = Reward(GRPOSettings(embedder="hashing", max_tokens=3), ends=(9,))
    reward(["A", "A"], ["Talk. And", "Talk. And"], question=["q", "q"], completion_ids=[[1, 2, 9], [1, 2, 3]])
    assert {answer for _, answer in counting.asked} == {"Talk. And", "Talk."}


@pytest.mark.parametrize(("name", "config"), [("grpo", "GRPOConfig"), ("rloo", "RLOOConfig")])
def test_answers_are_sampled_with_vllm_where_that_is_set(name, config, counting, tiny_lm_path, tmp_path, monkeypatch):
    """TRL's own trainer does that, and starts vLLM when it is made, so that here only its configuration is looked at."""
    import trl

    from trainers.methods.online import OnlineFineTuning

    seen = []

    def make_rewarded(self, made, policy, encoded, watch, config):
        seen.append(config)
        raise SettingsError("enough")

    given = {**FAST, "max_steps": 1, "use_vllm": True, "vllm_gpu_memory_utilization": 0.4}
    rows, base = prompts("imitation", "imitation"), f"hf:{tiny_lm_path}"
    with pytest.raises(ToolNotFound, match=f"use_vllm of trainer '{name}' needs vllm, which is not installed"):
        load_trainer(name, **given).train(rows, base=base, out=tmp_path / "m")
    monkeypatch.setattr("trainers.methods.online.require_packages", lambda *_: None)
    monkeypatch.setattr(OnlineFineTuning, "make_rewarded", make_rewarded)
    with pytest.raises(SettingsError, match="enough"):
        load_trainer(name, **given).train(rows, base=base, out=tmp_path / "m")
    assert isinstance(seen[0], getattr(trl, config))
    assert (seen[0].use_vllm, seen[0].vllm_mode, seen[0].vllm_enable_sleep_mode) == (True, "colocate", True)
    assert seen[0].vllm_gpu_memory_utilization == 0.4
