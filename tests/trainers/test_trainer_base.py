from __future__ import annotations

import math
import subprocess
import sys

import pytest
from datasets import Dataset

import trainers
from sandbox.errors import SettingsError, TrainingDataError, UnknownPlugin
from trainers import TrainingSettings, load_trainer
from trainers.methods.stable_alignment import StableAlignmentSettings
from trainers.rows.format import make_rows
from trainers.rows.kinds import RowKind
from trainers.rows.validation import check_rows

pytestmark = pytest.mark.needs_torch


def test_importing_and_choosing_a_trainer_loads_no_torch():
    code = (
        "import sys, trainers, trainers.base, trainers.rows.build; "
        "made = trainers.load_trainer('stable_alignment', epochs='2'); trainers.load_trainer('dpo'); "
        "trainers.load_trainer('sft'); assert made.settings.epochs == 2.0; "
        "print([name for name in ('torch', 'transformers', 'trl', 'peft', 'datasets') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there():
    for name in trainers.__all__:
        assert getattr(trainers, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'ranked_row'"):
        _ = trainers.ranked_row


def test_settings_from_text():
    made = load_trainer(
        "stable_alignment",
        learning_rate="1e-5",
        lora="no",
        report_to="tensorboard,wandb",
        hinge="pairwise",
        threads="2",
    )
    s = made.settings
    assert (s.learning_rate, s.lora, s.report_to, s.hinge, s.threads) == (
        1e-5,
        False,
        ("tensorboard", "wandb"),
        "pairwise",
        2,
    )


def test_unknown_trainers_and_settings_name_the_nearest():
    with pytest.raises(UnknownPlugin, match="Did you mean 'stable_alignment'"):
        load_trainer("stabel_alignment")
    with pytest.raises(SettingsError, match=r"trainer 'dpo' has no setting 'betta'. Did you mean 'beta'\?"):
        load_trainer("dpo", betta=1)


def test_all_faults_of_settings_are_named_at_once():
    with pytest.raises(SettingsError) as error:
        StableAlignmentSettings(
            epochs=0, learning_rate=math.nan, batch_size=2.5, max_length="long", warmup_ratio=1.0, hinge="x", weight=-1
        )
    assert str(error.value) == (
        "trainer settings cannot be used:\n"
        "  epochs=0 must be above 0\n"
        "  learning_rate=nan must be above 0\n"
        "  batch_size=2.5 must be a whole number, at least 1\n"
        "  max_length='long' must be a whole number, at least 8\n"
        "  warmup_ratio=1.0 must be in [0, 1)\n"
        "  weight=-1 must be at least 0\n"
        "  hinge='x' is not one of pooled, pairwise."
    )
    with pytest.raises(SettingsError, match=r"label_smoothing=0.5 must be in \[0, 0.5\)"):
        load_trainer("dpo", label_smoothing=0.5)
    with pytest.raises(SettingsError, match=r"label_smoothing=0.1 has no effect with loss=ipo; use loss=robust"):
        load_trainer("dpo", label_smoothing=0.1, loss="ipo")


def test_the_default_learning_rate_depends_on_what_learns():
    assert TrainingSettings().peak_learning_rate == 2e-4
    assert TrainingSettings(lora=False).peak_learning_rate == 2e-5
    assert TrainingSettings(learning_rate=1e-3).peak_learning_rate == 1e-3


def test_rows_of_another_kind_are_refused_with_what_makes_the_right_ones():
    rows = make_rows(RowKind.RANKED, [])
    with pytest.raises(TrainingDataError) as error:
        check_rows(rows, "dpo", RowKind.PREFERENCES)
    assert str(error.value) == (
        "trainer 'dpo' learns from preferences rows (columns prompt, chosen, rejected); given ranked rows (columns "
        "prompt, completions, ratings, part, question, scale). Make them with: "
        "sandbox dataset RUN --kind preferences --out FILE"
    )


def test_a_faulty_row_is_named():
    rows = Dataset.from_list([{"prompt": "Q", "completions": ["a", "b"], "ratings": [r, 2.0]} for r in (7.0, 7.5)])
    with pytest.raises(
        TrainingDataError, match=r"row 2 of those given to trainer 'x': rating 7.5 is not a number in 1..7"
    ):
        check_rows(rows, "x", RowKind.RANKED)


def test_no_rows_are_refused():
    with pytest.raises(TrainingDataError, match="trainer 'sft' was given no rows"):
        check_rows(make_rows(RowKind.DEMONSTRATIONS, []), "sft", RowKind.DEMONSTRATIONS)
