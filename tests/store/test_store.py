"""The run folder: what is written is read back, and nothing is overwritten."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.errors import RunExists, RunLocked, RunNotFound, RunVersion
from sandbox.records import Feedback, Interaction, Rating, Score
from sandbox.store.run import is_run, open_run
from sandbox.store.writer import RunWriter

MANIFEST: dict[str, Any] = {"rubric": {"dimensions": ["alignment", "engagement"], "scale": 7}}


def full(round_: int = 0, agent: int = 0) -> Interaction:
    """An interaction with something in every field, in several scripts."""
    return Interaction(
        round=round_,
        agent=agent,
        label="bad",
        question='هل الكذب مقبول؟ "sometimes" it\'s\n\t🙂',
        draft="draft; DROP TABLE interactions; --",
        feedback=(
            Feedback(5, Rating(6.5, (0.0, 0.1, 0.9), "liebenswürdig", "")),
            Feedback(2, Rating(None, None, "", "seven and a half 七")),
            Feedback(8, Rating(1.0)),
        ),
        revision="",
        before=Score({"alignment": Rating(3.000001), "engagement": Rating(None, raw="?")}),
        after=Score({"alignment": Rating(7.0, (0.0,) * 6 + (1.0,), "why", "raw")}),
        recalled=("ну?", "да, 'конечно'"),
        protocol="back_scatter",
        error=None,
        extra={"turns": [1, 2.5, None, True], "who": {"ß": "é"}},
    )


def test_every_field_is_read_back(tmp_path: Path) -> None:
    failed = Interaction(0, 1, "good", "q", error="CallFailed: \u2028 no\x00thing")
    with_writer(tmp_path / "run", [full(), failed])
    assert open_run(tmp_path / "run").interactions() == [full(), failed]


def with_writer(path: Path, interactions: list[Interaction]) -> None:
    writer = RunWriter(path, MANIFEST)
    for interaction in interactions:
        writer.commit(interaction)
    writer.close()


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBER = st.floats(1, 7)
RATING = st.builds(Rating, st.none() | NUMBER, st.none() | st.lists(NUMBER, max_size=3).map(tuple), TEXT, TEXT)
SCORE = st.builds(Score, st.dictionaries(TEXT, RATING, max_size=2))
INTERACTION = st.builds(
    Interaction,
    round=st.just(0),
    agent=st.just(0),
    label=TEXT,
    question=TEXT,
    draft=st.none() | TEXT,
    feedback=st.lists(st.builds(Feedback, st.integers(0, 99), RATING), max_size=3).map(tuple),
    revision=st.none() | TEXT,
    before=SCORE,
    after=SCORE,
    recalled=st.none() | st.tuples(TEXT, TEXT),
    protocol=TEXT,
    error=st.none() | TEXT,
    extra=st.dictionaries(TEXT, st.none() | st.integers() | TEXT | st.lists(st.floats(allow_nan=False))),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(INTERACTION)
def test_any_interaction_is_read_back(tmp_path_factory: pytest.TempPathFactory, interaction: Interaction) -> None:
    path = tmp_path_factory.mktemp("any") / "run"
    with_writer(path, [interaction])
    assert open_run(path).interactions() == [interaction]
    assert Interaction.from_dict(json.loads(json.dumps(interaction.as_dict()))) == interaction


def test_interactions_come_in_the_order_of_rounds_and_agents(tmp_path: Path) -> None:
    """Written as (1,0) (0,2) (0,1): read back as (0,1) (0,2) (1,0), and one round alone."""
    with_writer(tmp_path, [full(1, 0), full(0, 2), full(0, 1)])
    run = open_run(tmp_path)
    assert [(it.round, it.agent) for it in run.interactions()] == [(0, 1), (0, 2), (1, 0)]
    assert [(it.round, it.agent) for it in run.interactions(0)] == [(0, 1), (0, 2)]
    assert [len(it.feedback) for it in run.interactions(1)] == [3]


def test_a_run_that_is_there_is_refused(tmp_path: Path) -> None:
    with_writer(tmp_path / "run", [full()])
    with pytest.raises(RunExists) as refused:
        RunWriter(tmp_path / "run", MANIFEST)
    assert str(refused.value) == (
        f"{tmp_path / 'run'} already holds a run; add --resume to continue it, or choose another --out"
    )
    assert open_run(tmp_path / "run").interactions() == [full()]


def test_a_resumed_run_keeps_what_it_has(tmp_path: Path) -> None:
    """Also its manifest: that of the first process stays, whatever the second brings."""
    writer = RunWriter(tmp_path, {**MANIFEST, "seed": 1})
    writer.commit(full(0, 0))
    writer.close()
    again = RunWriter(tmp_path, {**MANIFEST, "seed": 2}, resume=True)
    assert again.manifest["seed"] == 1
    assert again.interactions(0) == [full(0, 0)]
    again.commit(full(0, 1))
    again.close()
    assert open_run(tmp_path).interactions() == [full(0, 0), full(0, 1)]


def test_resuming_a_run_that_does_not_exist_starts_one(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "deep" / "run", MANIFEST, resume=True)
    writer.close()
    assert is_run(tmp_path / "deep" / "run")
    assert open_run(tmp_path / "deep" / "run").manifest == {"schema": 2, **MANIFEST}


HOLD = """
import sys
from sandbox.store.writer import RunWriter
writer = RunWriter(sys.argv[1], {"rubric": {"dimensions": ["alignment"], "scale": 7}})
print("held", flush=True)
sys.stdin.read()
"""


def test_a_run_that_another_process_writes_is_locked_until_it_ends(tmp_path: Path) -> None:
    """The other process is killed, not told: the lock goes with it. Readers are not locked out."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunLocked, match="another process is writing to .*; wait for it, or choose another --out"):
            RunWriter(tmp_path, MANIFEST, resume=True)
        assert open_run(tmp_path).interactions() == []
        other.kill()
    RunWriter(tmp_path, MANIFEST, resume=True).close()


def test_a_reader_sees_what_is_committed_while_the_writer_goes_on(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, MANIFEST)
    run = open_run(tmp_path)
    writer.commit(full(0, 0))
    assert len(run.interactions()) == 1
    writer.commit(full(0, 1))
    assert len(run.interactions()) == 2
    writer.close()


def test_an_interaction_is_never_written_over(tmp_path: Path) -> None:
    import sqlite3

    writer = RunWriter(tmp_path, MANIFEST)
    writer.commit(full(0, 0))
    with pytest.raises(sqlite3.IntegrityError):
        writer.commit(full(0, 0))
    writer.close()


def test_another_schema_is_refused_for_reading_and_for_writing(tmp_path: Path) -> None:
    with_writer(tmp_path, [full()])
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "schema": 99}))
    words = f"{tmp_path} has schema 99; this version reads schema 2. Read it with the version named in its manifest"
    with pytest.raises(RunVersion) as read:
        open_run(tmp_path)
    with pytest.raises(RunVersion) as written:
        RunWriter(tmp_path, MANIFEST, resume=True)
    assert str(read.value) == str(written.value) == words


def test_a_folder_without_a_manifest_is_no_run_and_is_cleaned(tmp_path: Path) -> None:
    """A process killed before it wrote the manifest leaves a database; the next one begins anew."""
    (tmp_path / "run.sqlite").write_bytes(b"half a database")
    (tmp_path / "run.sqlite-wal").write_bytes(b"and its log")
    (tmp_path / "notes.txt").write_text("somebody's")
    assert not is_run(tmp_path)
    with pytest.raises(RunNotFound) as unread:
        open_run(tmp_path)
    assert str(unread.value) == (
        f"{tmp_path} is not a run: it has no manifest.json. Make one with: sandbox run SCENARIO --out {tmp_path}"
    )
    with_writer(tmp_path, [full()])
    assert open_run(tmp_path).interactions() == [full()]
    assert (tmp_path / "notes.txt").read_text() == "somebody's"


def test_what_is_not_a_run_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(RunNotFound, match="is not a run: it does not exist. Make one with: sandbox run"):
        open_run(tmp_path / "nowhere")
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(RunNotFound, match=r"manifest\.json is not JSON: "):
        open_run(tmp_path)


def test_finished_calls_are_kept_by_key_and_model(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, MANIFEST)
    assert not writer.has_calls()
    writer.add_calls([("k", "hf:a", "generate", "[1]", '{"text": "é"}'), ("k", "hf:b", "generate", "[1]", '"b"')])
    assert writer.has_calls()
    assert writer.recall_call("k", "hf:a") == {"text": "é"}
    assert writer.recall_call("k", "hf:b") == "b"
    assert writer.recall_call("k", "hf:c") is None
    assert writer.recall_call("other", "hf:a") is None
    writer.close()
    run = open_run(tmp_path)
    assert run.call("k") == {"text": "é"}
    assert run.call("other") is None


def test_rounds_keep_memories_and_measures(tmp_path: Path) -> None:
    """Agent 3 answers q in rounds 0 and 1 (the later stands) and r in round 0; agent 4 answers q in round 1."""
    writer = RunWriter(tmp_path, MANIFEST)
    writer.finish_round(0, [(3, "q", "first"), (3, "r", "other")], {"rating": 5.5, "failed": 0})
    writer.finish_round(1, [(3, "q", "second"), (4, "q", "mine")], {"rating": None, "failed": 2})
    assert writer.memories() == [(3, "r", "other", 0), (3, "q", "second", 1), (4, "q", "mine", 1)]
    writer.close()
    run = open_run(tmp_path)
    assert run.rounds == 2
    assert run.metrics() == [{"rating": 5.5, "failed": 0}, {"rating": None, "failed": 2}]
    assert run.memories(3) == [("r", "other"), ("q", "second")]
    assert run.memories(9) == []


def test_agents_are_written_once(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, MANIFEST)
    writer.add_agents([(1, "Agent 2", "bad", 0, 1), (0, "Agent 1", "good", 0, 0)])
    writer.add_agents([(1, "Agent 2", "bad", 0, 1)])
    writer.close()
    assert open_run(tmp_path).agents().to_dict("list") == {
        "agent": [0, 1],
        "name": ["Agent 1", "Agent 2"],
        "label": ["good", "bad"],
        "x": [0, 0],
        "y": [0, 1],
        "model": [None, None],
    }


def test_a_frame_has_a_row_for_every_interaction(tmp_path: Path) -> None:
    """``full``: ratings 6.5, unreadable, 1 have the mean 3.75 of two; a failed one has no numbers at all."""
    failed = Interaction(0, 1, "good", "q", error="CallFailed: nothing")
    with_writer(tmp_path, [full(0, 0), failed])
    frame = open_run(tmp_path).frame()
    assert list(frame.columns) == [
        "round", "agent", "label", "question", "draft", "revision", "rating", "n_ratings", "error",
        "alignment_before", "alignment_after", "engagement_before", "engagement_after",
    ]  # fmt: skip
    first, second = frame.itertuples(index=False)
    assert (first.rating, first.n_ratings) == (3.75, 2)
    assert (first.alignment_before, first.alignment_after) == (3.000001, 7.0)
    assert (second.n_ratings, second.error) == (0, "CallFailed: nothing")
    numbers = ["rating", "alignment_before", "alignment_after", "engagement_before", "engagement_after"]
    assert frame[numbers].isna().to_numpy().tolist() == [[False, False, False, True, True], [True] * 5]
    assert (frame[numbers].dtypes == "float64").all()


def test_feedback_has_a_row_for_every_review(tmp_path: Path) -> None:
    with_writer(tmp_path, [full(2, 7)])
    frame = open_run(tmp_path).feedback()
    assert list(frame.columns) == ["round", "agent", "reviewer", "rating", "reason", "kind"]
    assert frame["reviewer"].tolist() == [5, 2, 8]
    assert frame["agent"].tolist() == [7, 7, 7]
    assert frame["reason"].tolist() == ["liebenswürdig", "", ""]
    assert frame["rating"].dtype == "float64"
    assert frame["rating"].fillna(-1).tolist() == [6.5, -1, 1.0]


def test_an_empty_run_has_empty_tables_with_all_columns(tmp_path: Path) -> None:
    with_writer(tmp_path, [])
    run = open_run(tmp_path)
    frame, feedback = run.frame(), run.feedback()
    assert len(frame) == len(feedback) == run.rounds == 0
    assert "engagement_after" in frame.columns
    assert frame["rating"].dtype == feedback["rating"].dtype == pd.Series([1.0]).dtype
    assert repr(run) == f"<Run {str(tmp_path)!r}: a scenario, 0 complete rounds>"
    assert (run.name, run.scale, run.dimensions) == (tmp_path.name, 7, ["alignment", "engagement"])
