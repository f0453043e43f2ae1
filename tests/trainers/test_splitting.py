from __future__ import annotations

import json
import subprocess
import sys

import pytest

from sandbox.errors import SettingsError, TrainingDataError
from trainers.rows.format import make_rows, row_statistics
from trainers.rows.kinds import RowKind
from trainers.rows.split import split_rows

pytestmark = pytest.mark.needs_torch


def rows(*questions, kind=RowKind.PROMPTS):
    made = [{"prompt": [{"role": "user", "content": f"{q}?"}], "part": "imitation", "question": q, "scale": 7.0}
            for q in questions]  # fmt: skip
    return make_rows(kind, made, {"candidates said twice": 3})


def test_no_question_is_on_both_sides_and_no_row_is_lost():
    """Forty questions with three rows each."""
    given = rows(*(f"q{n % 40}" for n in range(120)))
    learnt, held = split_rows(given, 0.2)
    assert not set(learnt["question"]) & set(held["question"])
    assert sorted([*learnt["question"], *held["question"]]) == sorted(given["question"])
    assert 2 <= len(set(held["question"])) <= 16


def test_the_side_of_a_question_depends_on_it_and_the_seed_alone():
    """So rows of other kinds and runs, split alike, agree: a question held out here is held out there."""
    few, many = rows(*(f"q{n}" for n in range(10, 30))), rows(*(f"q{n}" for n in range(40)))
    held = set(split_rows(many, 0.3)[1]["question"])
    assert set(split_rows(few, 0.3)[1]["question"]) == held & set(few["question"])
    assert set(split_rows(many, 0.3, seed=1)[1]["question"]) != held


def test_each_side_gets_a_question():
    for share in (0.001, 0.999):
        learnt, held = split_rows(rows("a", "b", "c"), share)
        assert len(learnt) >= 1
        assert len(held) >= 1


def test_what_was_left_out_is_told_once():
    learnt, held = split_rows(rows("a", "b", "c"), 0.3)
    assert row_statistics(learnt)["left_out"] == {"candidates said twice": 3}
    assert "left_out" not in row_statistics(held)


def test_refuses_what_cannot_be_split():
    with pytest.raises(
        SettingsError, match="a share of 1 cannot be held out; give one above 0 and below 1, for example 0.2"
    ):
        split_rows(rows("a", "b"), 1)
    with pytest.raises(TrainingDataError, match=r"rows of 1 question\(s\) cannot be split"):
        split_rows(rows("a", "a"), 0.5)


def test_from_the_shell(run_dir, tmp_path):
    """Two files, and what is in them: counts, a histogram of the ratings, and what was left out."""
    out = tmp_path / "rows.jsonl"
    command = [sys.executable, "-m", "sandbox", "dataset", str(run_dir), "--kind", "ranked", "--split", "0.3"]
    done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    sides = [
        [json.loads(line)["question"] for line in (tmp_path / name).read_text(encoding="utf-8").splitlines()]
        for name in ("rows.jsonl", "rows.heldout.jsonl")
    ]
    assert not set(sides[0]) & set(sides[1])
    lines = done.stdout.splitlines()
    assert lines[0] == f"{out}: {len(sides[0])} rows of ranked"
    assert f"{tmp_path / 'rows.heldout.jsonl'}: {len(sides[1])} rows of ranked" in lines
    assert any(line.startswith("  rated ") and line.endswith("#") for line in lines)
    assert any(line.startswith("  left out: ") for line in lines)
    done = subprocess.run([*command, "--out", str(out), "--json"], capture_output=True, text=True)
    said = json.loads(done.stdout)
    assert (said["rows"], said["heldout"]["rows"]) == (len(sides[0]), len(sides[1]))
    assert said["heldout"]["file"] == str(tmp_path / "rows.heldout.jsonl")
