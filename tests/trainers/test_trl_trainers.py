"""Trainers of TRL by name: they train on the rows of a run, and those that cannot are refused with the reason."""

from __future__ import annotations

import json
import pkgutil
import shutil
from importlib import import_module

import pytest

from sandbox.errors import SettingsError, TrainingDataError, UnknownPlugin
from sandbox.folders import next_free_name
from sandbox.testing.rows import tiny_rows
from trainers import load_trainer, rows_from
from trainers.base import trainer_class
from trainers.methods import trl_catalog
from trainers.methods.trl_catalog import REFUSED, SPECS

pytestmark = pytest.mark.needs_torch

FAST = {
    "max_steps": 3, "batch_size": 8, "learning_rate": 5e-3, "warmup_ratio": 0.0, "schedule": "constant", "device": "cpu",
    "progress": False,
}  # fmt: skip


@pytest.fixture
def run(make_run, interaction):
    """Four questions, each with a bad draft and a good revision."""
    answers = {
        "draft": "Shout at them all night long.",
        "revision": "Talk to them and listen.",
        "before": 1.5,
        "after": 6.5,
    }
    return make_run(*(interaction(question=f"How do I get on with neighbour {n}?", **answers) for n in range(4)))


def losses(trained):
    return [record["loss"] for record in trained.history]


def test_cpo_learns_from_a_run(run, tiny_lm_path, tmp_path):
    """Three steps on one batch of its pairs: the loss falls, the better answer becomes likelier, and the weights move."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    made = load_trainer("trl:cpo", **FAST, **{"args.cpo_alpha": "0.5", "args.loss_type": "hinge"})
    trained = made.train(rows_from(run, made.accepts), base=f"hf:{tiny_lm_path}", out=tmp_path / "m")
    assert losses(trained)[0] > losses(trained)[1] > losses(trained)[2]
    assert trained.history[2]["reward_margin"] > trained.history[0]["reward_margin"]
    # The whole loss, by the words of TRL: hinge on the margin, plus half the likelihood of the better answer.
    first = trained.history[0]
    assert first["loss"] == pytest.approx(max(0, 1 - first["reward_margin"]) + 0.5 * first["nll_loss"], rel=1e-3)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_lm_path), trained.path)
    moved = [float(weight.detach().abs().max()) for name, weight in model.named_parameters() if "lora_B" in name]
    assert min(moved) > 0
    about = json.loads((trained.path / "training.json").read_text())
    assert (about["trainer"], about["settings"]["args"]["loss_type"]) == ("trl:CPO", "hinge")


def test_a_reward_model_rates_as_it_was_taught(run, tiny_lm_path, tmp_path):
    """It is saved as a rater, which rates the better answers of the run higher than the worse ones."""
    from sandbox.raters.base import load_rater

    class Role:
        scale = 7

    made = load_trainer("trl:Reward", **FAST)
    trained = made.train(rows_from(run, made.accepts), base=f"hf:{tiny_lm_path}", out=tmp_path / "m")
    assert trained.uri == f"reward:{tmp_path / 'm'}"
    assert losses(trained)[2] < losses(trained)[0]
    assert trained.history[2]["preference_accuracy"] == 1
    asked = "How do I get on with neighbour 1?"
    pairs = [(asked, "Talk to them and listen."), (asked, "Shout at them all night long.")]
    better, worse = load_rater(trained.uri, embedder=None).rate(pairs, rater_of=Role())
    assert better.value > worse.value + 1


@pytest.mark.parametrize("name", ["DPO", "KTO", "SFT", "TPO"])
def test_other_kinds_of_rows(name, tiny_lm_path, tmp_path):
    made = load_trainer(f"trl:{name}", **{**FAST, "max_steps": 2}, lora=False)
    trained = made.train(tiny_rows(made.accepts), base=f"hf:{tiny_lm_path}", out=tmp_path / "m")
    assert losses(trained)[1] < losses(trained)[0]


def test_a_triple_is_the_best_the_second_and_the_last(ranked_rows_by_hand, tiny_lm_path):
    """Of three answers; of two the best is the reference as well as the better one."""
    from transformers import AutoTokenizer

    from trainers.likelihood.tokenization import Encoder
    from trainers.methods.trl_rows import encode_for

    tokenizer = AutoTokenizer.from_pretrained(tiny_lm_path)
    two, three = encode_for("triples", ranked_rows_by_hand.select([0, 1]), Encoder(tokenizer, 360), "trl:TPO")
    said = [
        [tokenizer.decode(row[f"{one}_ids"]).split()[0] for one in ("reference", "chosen", "rejected")]
        for row in (two, three)
    ]
    assert said == [["Talk", "Talk", "Say"], ["Talk", "Say", "Shout"]]
    with pytest.raises(TrainingDataError, match="no row has two that are rated differently"):
        encode_for("triples", ranked_rows_by_hand.select([]), Encoder(tokenizer, 360), "trl:TPO")


def test_online_dpo_learns_from_ratings_of_its_own_answers(tiny_lm_path, tmp_path):
    """Before the first step the model is its own reference, so the loss is log 2; then the weights move."""
    online = {**FAST, "max_steps": 2, "batch_size": 2, "max_tokens": 6, "embedder": "hashing"}
    made = load_trainer("trl:online_dpo", **online)
    trained = made.train(tiny_rows("prompts"), base=f"hf:{tiny_lm_path}", out=tmp_path / "m")
    assert losses(trained)[0] == pytest.approx(0.693147, abs=1e-4)
    assert losses(trained)[1] != pytest.approx(0.693147, abs=1e-4)
    with pytest.raises(SettingsError, match="answers=4 must be 2"):
        load_trainer("trl:OnlineDPO", answers=4)


def test_a_teacher_is_a_setting(tiny_lm_path, tmp_path):
    """Distillation from the base itself has nothing to learn; without a teacher, or with another vocabulary, it is refused."""
    from transformers import AutoTokenizer

    settings = {**FAST, "max_steps": 1, "batch_size": 2, "max_tokens": 4}
    base, rows = f"hf:{tiny_lm_path}", tiny_rows("prompts")
    trained = load_trainer("trl:Distillation", **settings, teacher=base).train(rows, base=base, out=tmp_path / "m")
    assert losses(trained) == [pytest.approx(0, abs=1e-5)]
    with pytest.raises(SettingsError, match="trainer 'trl:Distillation' needs a teacher: --set teacher=URI"):
        load_trainer("trl:Distillation", **settings).train(rows, base=base, out=tmp_path / "n")
    other = tmp_path / "other"
    shutil.copytree(tiny_lm_path, other)
    tokenizer = AutoTokenizer.from_pretrained(other)
    tokenizer.add_tokens(["neighbourly"])
    tokenizer.save_pretrained(other)
    with pytest.raises(SettingsError, match="has another vocabulary than the base"):
        load_trainer("trl:Distillation", **settings, teacher=f"hf:{other}").train(rows, base=base, out=tmp_path / "n")
    assert not (tmp_path / "n").exists()


def test_no_step_is_an_error(tiny_lm_path, tmp_path):
    """TRL leaves out batches that are not full, and would return the base untrained."""
    made = load_trainer("trl:Distillation", **{**FAST, "batch_size": 64}, teacher=f"hf:{tiny_lm_path}")
    with pytest.raises(TrainingDataError, match=r"made no step: \d+ rows do not fill a step of 64 x 1 rows"):
        made.train(tiny_rows("prompts"), base=f"hf:{tiny_lm_path}", out=tmp_path / "m")


def test_every_trainer_of_trl_can_be_used_or_says_why_not():
    """Of the installed version: those of ``trl`` and of its experimental packages."""
    import trl.experimental
    import trl.trainer

    found = {name for names in trl.trainer._import_structure.values() for name in names}
    for package in pkgutil.iter_modules(trl.experimental.__path__):
        if package.ispkg and package.name not in ("harbor", "openreward"):
            found |= set(dir(import_module(f"trl.experimental.{package.name}")))
    names = {name.removesuffix("Trainer") for name in found if name.endswith("Trainer") and name[0] != "_"}
    assert names == {*SPECS, *REFUSED}
    for name, spec in SPECS.items():
        assert trainer_class(f"trl:{name}Trainer").accepts == spec.accepts


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        (
            "trl:CPOO",
            UnknownPlugin,
            r"TRL has no trainer named 'CPOO'. Did you mean 'trl:CPO'\? Trainers of TRL: CPO, DPO, ",
        ),
        ("trl:", UnknownPlugin, "needs the name of a trainer, as in trl:CPO"),
        ("trl", UnknownPlugin, "needs the name of a trainer, as in trl:CPO"),
        ("trl:AsyncGRPO", SettingsError, "trainer 'trl:AsyncGRPO' cannot be used here: it needs a vLLM server"),
        ("trl:gkd", SettingsError, "trainer 'trl:GKD' cannot be used here: .*use trl:Distillation"),
    ],
)
def test_refused_names(name, error, words):
    with pytest.raises(error, match=words):
        load_trainer(name)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"cpo_alphaa": 1}, r"trl.CPOConfig has no argument 'cpo_alphaa'. Did you mean 'cpo_alpha'\?"),
        ({"max_length": 9}, "args.max_length is a setting of its own here: use --set max_length=..."),
        ({"loss_type": "hinges"}, "args.loss_type='hinges' is not one of sigmoid, hinge"),
        ({"model_init_kwargs": "{}"}, "args.model_init_kwargs has no use here: the base is loaded before TRL gets it"),
        ({"beta": "much"}, "args: beta='much' is not a number"),
    ],
)
def test_refused_arguments(arguments, words, tiny_lm_path, tmp_path):
    made = load_trainer("trl:CPO", **FAST, args=arguments)
    with pytest.raises(SettingsError, match=words):
        made.train(tiny_rows("preferences"), base=f"hf:{tiny_lm_path}", out=tmp_path / "m")


def test_settings_of_trl_are_named_and_its_refusals_are_errors(tiny_lm_path, tmp_path, monkeypatch):
    with pytest.raises(SettingsError, match=r"Arguments of trl are given as args\.cpo_alpha"):
        load_trainer("trl:CPO", cpo_alpha=0.5)
    with pytest.raises(SettingsError, match="measure_kl=true is about likelihoods of answers"):
        load_trainer("trl:Reward", measure_kl=True)
    made = load_trainer("trl:KTO", **{**FAST, "batch_size": 1})
    with pytest.raises(SettingsError, match="trl.KTOTrainer refuses these settings: .*batch size"):
        made.train(tiny_rows("unpaired"), base=f"hf:{tiny_lm_path}", out=tmp_path / "m")
    monkeypatch.setattr(trl_catalog, "version", lambda name: "1.19.2")
    with pytest.raises(SettingsError, match="as they are in version 1.16.x; found trl 1.19.2"):
        load_trainer("trl:CPO")


def test_names_of_folders_have_no_colon(tmp_path):
    assert next_free_name(tmp_path, "trl:CPO") == tmp_path / "trl_CPO-1"
