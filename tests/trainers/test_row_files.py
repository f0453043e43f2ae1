from __future__ import annotations

import json

import pytest

from sandbox.errors import DataFileError
from trainers.rows.files import read_rows, write_rows
from trainers.rows.format import make_rows, row_statistics
from trainers.rows.kinds import COLUMNS, RowKind, kind_of

pytestmark = pytest.mark.needs_torch

PROMPT = [{"role": "user", "content": "Was ist gerecht? 何が公平ですか"}]
ANSWER = [{"role": "assistant", "content": "Teilen,\nund „zuhören“."}]
SHARED = {"prompt": PROMPT, "part": "self_critic", "question": "何", "scale": 10.0}
ROWS = {
    RowKind.RANKED: {**SHARED, "completions": ["a\u2028b", "ß"], "ratings": [6.25, 1.0]},
    RowKind.PREFERENCES: {**SHARED, "chosen": ANSWER, "rejected": ANSWER, "gap": 2.5},
    RowKind.DEMONSTRATIONS: {**SHARED, "completion": ANSWER, "rating": 6.0},
    RowKind.UNPAIRED: {**SHARED, "completion": ANSWER, "label": False, "rating": 2.0},
    RowKind.PROMPTS: SHARED,
}


@pytest.mark.parametrize("kind", RowKind)
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_round_trip(kind, suffix, tmp_path):
    rows = make_rows(kind, [ROWS[kind], ROWS[kind]])
    file = write_rows(rows, tmp_path / "folder" / f"rows{suffix}")
    again = read_rows(file)
    assert again.features == rows.features
    assert again[:] == rows[:]
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("kind", RowKind)
def test_the_kind_is_told_by_the_columns(kind):
    assert kind_of(COLUMNS[kind]) == kind
    assert kind_of(["completion"]) is None


def test_the_released_layout_keeps_another_scale(tmp_path):
    file = write_rows(make_rows(RowKind.RANKED, [ROWS[RowKind.RANKED]]), tmp_path / "rows.json")
    assert json.loads(file.read_text(encoding="utf-8"))[0]["scale"] == 10.0
    again = read_rows(file)
    assert (again[0]["ratings"], again[0]["scale"]) == ([6.25, 1.0], 10.0)


def test_scores_that_could_not_be_read_are_left_out(tmp_path):
    """The authors' files hold -1 and 8 where a score could not be read; a row of nothing else goes."""
    file = tmp_path / "released.json"
    file.write_text(
        json.dumps(
            [
                {"query": "Q", "responses": ["a", "b", "c", "d"], "scores": [7, -1, 8, 3], "models": [""] * 4},
                {"query": "P", "responses": ["a"], "scores": [-1]},
            ]
        )
    )
    rows = read_rows(file)
    assert (rows["completions"], rows["ratings"], rows["scale"]) == ([["a", "d"]], [[7.0, 3.0]], [7.0])
    assert row_statistics(rows)["left_out"] == {"candidates without a rating": 3}


def test_prompts_and_answers_may_be_plain_text(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"prompt": "Q", "completion": "A"}\n')
    assert read_rows(file)[0] == {
        "prompt": [{"role": "user", "content": "Q"}],
        "completion": [{"role": "assistant", "content": "A"}],
        "rating": None,
        "part": "imitation",
        "question": "Q",
        "scale": 7.0,
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no rows; expected columns prompt, completions, ratings; or"),
        ('{"text": "x"}', "holds rows of no known kind"),
        ('{"prompt": "Q"}\n{"prompt": "Q", "completion": "A"}', "holds rows of different kinds"),
        ('{"prompt": "Q"}\n{', "line 2 is not JSON"),
        ('{"prompt": []}', "holds no rows that can be used; left out: 1 rows whose prompt does not end with a user"),
        ('{"prompt": "Q", "completion": " "}', "holds no rows that can be used; left out: 1 rows with an empty turn"),
        ('{"prompt": "Q", "completion": "A", "label": 1}', "line 1: label is 1; expected true or false"),
        ("3", "line 1 is a number; expected an object"),
        ('{"prompt": 3}', "line 1: prompt is neither text nor a list of messages with role"),
        ('{"prompt": "Q", "completion": "A", "question": 3}', "line 1: question is 3; expected a text"),
        ('{"prompt": "Q", "completion": "A", "rating": "good"}', "line 1: rating is 'good'; expected a number"),
        (
            '{"prompt": "Q", "completions": ["A"], "ratings": [1], "scale": 0}',
            "line 1: scale is 0; expected the highest",
        ),
        ('{"prompt": "Q", "chosen": "A", "rejected": "B", "gap": -1}', "line 1: gap is -1; expected how much better"),
        ('{"prompt": "Q", "completions": ["A"], "ratings": []}', "as many ratings"),
        ('{"prompt": "Q", "completions": ["A"], "ratings": [8]}', r"line 1: rating 8 is not a number in 1\.\.7"),
        ('{"prompt": "Q", "completions": ["A"], "ratings": [null]}', "rating None is not a number"),
        ('{"prompt": "Q", "completions": [" "], "ratings": [3]}', "a completion is empty"),
    ],
)
def test_faults_are_named_with_their_row(content, words, tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text(content + "\n")
    with pytest.raises(DataFileError, match=words):
        read_rows(file)


def test_files_that_are_none(tmp_path):
    with pytest.raises(
        DataFileError, match=r"rows.txt is no file of rows; use .jsonl, .json, .csv, .tsv or .parquet, or"
    ):
        read_rows(tmp_path / "rows.txt")
    for suffix in (".jsonl", ".parquet", ".json", ".csv"):
        with pytest.raises(DataFileError, match="cannot be read"):
            read_rows(tmp_path / f"missing{suffix}")
    (tmp_path / "rows.json").write_text('[{"query": "Q"}]')
    with pytest.raises(DataFileError, match=r"expected columns .*rows.json, row 1 has the columns query$"):
        read_rows(tmp_path / "rows.json")
    (tmp_path / "rows.json").write_text('[{"query": "Q", "responses": ["A"], "scores": 3}]')
    with pytest.raises(DataFileError, match="row 1: expected an object with query, responses and scores"):
        read_rows(tmp_path / "rows.json")


def test_the_released_layout_holds_ranked_rows_only(tmp_path):
    rows = make_rows(RowKind.PREFERENCES, [ROWS[RowKind.PREFERENCES]])
    with pytest.raises(DataFileError, match=r"row 1 is none. Write .jsonl"):
        write_rows(rows, tmp_path / "rows.json")
    assert list(tmp_path.iterdir()) == []
