"""Rejection fine-tuning and simple preference optimisation, by their classes."""

from __future__ import annotations

import json

import pytest

from sandbox.errors import SettingsError, TrainingDataError
from sandbox.testing import check_trainer
from trainers import rows_from, write_rows
from trainers.methods.rft import RFT, RFTSettings
from trainers.methods.simpo import SimPO, SimPOSettings
from trainers.rows.format import left_out_of, make_rows

pytestmark = pytest.mark.needs_torch

FAST = {"learning_rate": 5e-3, "batch_size": 4, "progress": False, "device": "cpu"}


def answers(*ratings, scale=7.0):
    prompt = [{"role": "user", "content": "Why?"}]
    rows = [
        {
            "prompt": prompt, "completion": [{"role": "assistant", "content": f"Because {n}."}], "label": (rating or 0) > 4,
            "rating": rating, "part": "p", "question": "Why?", "scale": scale,
        }
        for n, rating in enumerate(ratings)
    ]  # fmt: skip
    return make_rows("unpaired", rows)


def kept(rows, **settings):
    found = RFT(RFTSettings(**settings)).select(rows)
    return [row["completion"][0]["content"] for row in found], left_out_of(found)


@pytest.mark.parametrize("kind", [RFT, SimPO])
def test_it_keeps_the_contract_of_trainers(kind, monkeypatch):
    check_trainer(kind)


def test_rft_imitates_the_best_share_with_ties():
    rows = answers(2, 7, 5, 5)
    assert kept(rows) == (["Because 1."], {"answers below the best share": 3})
    assert kept(rows, best_share=0.5)[0] == ["Because 1.", "Because 2.", "Because 3."]
    assert kept(rows, best_share=1.0) == ([f"Because {n}." for n in range(4)], {})


def test_rft_rejects_something_where_most_answers_are_bad():
    """One in ten is good, a quarter is asked for: the nine bad ones are alike, and none of them is imitated."""
    assert kept(answers(*[1] * 9, 7)) == (["Because 9."], {"answers below the best share": 9})
    with pytest.raises(TrainingDataError, match="all 3 answers are rated alike, so none is better"):
        kept(answers(4, 4, 4))


def test_rft_ranks_rows_without_ratings_by_their_labels():
    rows = answers(None, None).remove_columns("label").add_column("label", [False, True])
    assert kept(rows)[0] == ["Because 1."]


@pytest.mark.parametrize(("kind", "settings"), [(RFT, RFTSettings), (SimPO, SimPOSettings)])
def test_the_loss_falls(kind, settings, ranked_rows_by_hand, tiny_lm_path, tmp_path, undocumented):
    file = write_rows(ranked_rows_by_hand, tmp_path / "ranked.jsonl")
    rows = rows_from(file, kind.accepts)
    trained = kind(settings(epochs=6, **FAST)).train(rows, base=f"hf:{tiny_lm_path}", out=tmp_path / "m")
    losses = [record["loss"] for record in trained.history]
    assert undocumented(kind.name, trained) == []
    assert sum(losses[-2:]) < 0.8 * sum(losses[:2])
    about = json.loads((tmp_path / "m" / "training.json").read_text(encoding="utf-8"))
    if kind is RFT:
        assert about["rows"]["rows"] < len(rows)
        assert any("answers below the best share" in note for note in about["notes"])
    else:
        assert trained.history[-1]["preference_accuracy"] > trained.history[0]["preference_accuracy"] - 1e-9
        assert "reward_margin" in trained.history[0]


def test_settings_out_of_range_are_refused():
    with pytest.raises(SettingsError, match=r"best_share=0 must be"):
        RFTSettings(best_share=0)
    with pytest.raises(SettingsError, match=r"beta=0 must be"):
        SimPOSettings(beta=0)
