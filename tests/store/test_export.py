"""Runs to and from other programs: nothing is lost on the way."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd
import pytest

from sandbox.errors import DataFileError, RunExists, RunNotFound, SettingsError
from sandbox.records import Feedback, Interaction, Rating, Score
from sandbox.store.export import export_run
from sandbox.store.import_sample_world import import_sample_world
from sandbox.store.run import open_run
from sandbox.store.sample_world import read_row, write_row
from sandbox.store.writer import RunWriter

MANIFEST: dict[str, Any] = {"rubric": {"dimensions": ["alignment", "engagement"], "scale": 7}}


@pytest.fixture
def odd_run(tmp_path: Path) -> Path:
    """A run with a failed interaction, ratings that cannot be read, a recalled pair and something of a protocol's own."""
    writer = RunWriter(tmp_path / "odd", MANIFEST)
    writer.add_agents((a, f"Agent {a + 1}", "good", 0, a) for a in range(3))
    full = Interaction(
        0, 0, "good", "Q — ümlaut?\n", "draft", (Feedback(1, Rating(6.5, (0.25, 0.75), "well said", "")),
                                                Feedback(2, Rating(None, None, "", "seven"))),
        "", Score({"alignment": Rating(3.0, raw="r"), "engagement": Rating(None, raw="?")}),
        Score({"alignment": Rating(7.0)}), ("old?", "yes"), "mine", None, {"turns": [1, None]},
    )  # fmt: skip
    writer.commit(full)
    writer.commit(Interaction(0, 1, "good", "q", error="CallFailed: no"))
    writer.finish_round(0, [], {})
    writer.commit(Interaction(1, 2, "good", "under way", "d"))
    writer.close()
    return tmp_path / "odd"


def test_json_lines_are_read_back_whole(odd_run: Path, tmp_path: Path) -> None:
    written = export_run(odd_run, "jsonl", tmp_path / "out")
    assert written == tmp_path / "out" / "interactions.jsonl"
    lines = written.read_text(encoding="utf-8").splitlines()
    read = [Interaction.from_dict(json.loads(line)) for line in lines]
    assert read == open_run(odd_run).interactions()
    assert len(read) == 3


def test_parquet_holds_every_field(odd_run: Path, tmp_path: Path) -> None:
    written = export_run(open_run(odd_run), "parquet", tmp_path / "x.parquet")
    frame = pd.read_parquet(written)
    assert frame[["round", "agent"]].to_numpy().tolist() == [[0, 0], [0, 1], [1, 2]]
    first = frame.iloc[0]
    said = [{k: v for k, v in f.items() if k != "distribution"} for f in first["feedback"]]
    assert said == [
        {"reviewer": 1, "rating": 6.5, "reason": "well said", "raw": "", "kind": "rating"},
        {"reviewer": 2, "rating": None, "reason": "", "raw": "seven", "kind": "rating"},
    ]
    assert list(first["feedback"][0]["distribution"]) == [0.25, 0.75]
    assert (first["recalled_question"], first["recalled_answer"], first["revision"]) == ("old?", "yes", "")
    assert (first["alignment_before"], first["alignment_after"], first["alignment_before_raw"]) == (3.0, 7.0, "r")
    assert math.isnan(first["engagement_before"])
    assert pd.isna(first["engagement_after_raw"])
    assert json.loads(first["extra"]) == {"turns": [1, None]}
    assert frame.iloc[1]["error"] == "CallFailed: no"
    assert pd.isna(frame.iloc[1]["draft"])


def test_parquet_of_an_empty_run_has_all_columns(tmp_path: Path) -> None:
    RunWriter(tmp_path / "empty", MANIFEST).close()
    frame = pd.read_parquet(export_run(tmp_path / "empty", "parquet", tmp_path / "e.parquet"))
    assert len(frame) == 0
    assert {"round", "feedback", "alignment_before", "engagement_after", "error"} <= set(frame.columns)


def test_graphml_is_the_social_graph(run_dir: Path, tmp_path: Path) -> None:
    read = nx.read_graphml(export_run(run_dir, "graphml", tmp_path / "g.graphml"), node_type=int)
    graph = open_run(run_dir).social_graph()
    assert set(read.edges) == set(graph.edges)
    for a, b, data in graph.edges(data=True):
        assert read.edges[a, b] == {k: v for k, v in data.items() if v is not None}
    for node, data in graph.nodes(data=True):
        assert read.nodes[node] == {k: v for k, v in data.items() if v is not None and v == v}


def test_a_file_is_replaced_and_nothing_else_is_left(run_dir: Path, tmp_path: Path) -> None:
    for _ in range(2):
        export_run(run_dir, "jsonl", tmp_path / "a.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


@pytest.mark.parametrize(
    ("fmt", "out", "error", "words"),
    [
        ("parqet", "x", SettingsError, "--format 'parqet' is not one of jsonl, parquet, graphml, sample_world. "
                                       "Did you mean 'parquet'?"),
        ("jsonl", "x.csv", SettingsError, "does not end in .jsonl; name a .jsonl file, or a folder"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused(
    run_dir: Path, tmp_path: Path, fmt: str, out: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as refused:
        export_run(run_dir, fmt, tmp_path / out)
    assert str(refused.value).endswith(words)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_run_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(RunNotFound, match="is not a run"):
        export_run(tmp_path, "jsonl", tmp_path / "x.jsonl")


# -- the authors' layout -------------------------------------------------------------------------------------------


def theirs(agent: int, iteration: int, **changed: Any) -> dict[str, Any]:
    """A record as the authors' program writes it."""
    return {
        "agent_id": agent, "label": "good", "iteration": iteration, "question": f"q{agent}.{iteration}",
        "draft_answer": "draft", "target_id": [1, 2], "feedback": ["fine", "no"], "rating": ["6", "8"],
        "revised_answer": "better", "gen_moral_score_before": 3, "gen_moral_reason_before": "so-so",
        "gen_moral_score_after": 6.0, "gen_moral_reason_after": "good", "gen_engagement_score_before": -1,
        "gen_engagement_reason_before": "", "gen_engagement_score_after": 5.0, "gen_engagement_reason_after": "",
        "cls_moral_score_before": 0, "cls_moral_score_after": 0, **changed,
    }  # fmt: skip


def write_world(folder: Path, records: dict[int, Any]) -> Path:
    place = folder / "external_memory"
    place.mkdir(parents=True)
    for agent, rows in records.items():
        (place / f"agent_{agent}.jsonl").write_text(rows if isinstance(rows, str) else json.dumps(rows))
    return folder


def test_a_sample_world_becomes_a_run(tmp_path: Path) -> None:
    """Ratings are text, "8" is one that could not be read, and so is the score -1; agent 2 is only heard of."""
    world = write_world(tmp_path / "w", {0: [theirs(0, 3), theirs(0, 5)], 1: [theirs(1, 5, target_id=[0, 2])]})
    run = import_sample_world(world, tmp_path / "run", command="sandbox import w")
    assert [(i.round, i.agent) for i in run.interactions()] == [(0, 0), (1, 0), (1, 1)]
    first = run.interactions()[0]
    assert (first.question, first.draft, first.revision, first.label) == ("q0.3", "draft", "better", "good")
    assert first.feedback == (Feedback(1, Rating(6.0, reason="fine")), Feedback(2, Rating(None, reason="no", raw="8")))
    assert first.before.ratings == {"alignment": Rating(3.0, reason="so-so"), "engagement": Rating(None, raw="-1")}
    assert first.after.value("alignment") == 6.0
    assert run.rounds == 2
    assert run.agents()[["agent", "label"]].to_numpy().tolist() == [[0, "good"], [1, "good"], [2, "unknown"]]
    assert run.memories(0) == [("q0.3", "better"), ("q0.5", "better")]
    assert run.metrics()[1]["rounds_to_front"] == 1
    assert run.manifest["notes"][0] == "imported from a sample world of 2 agents"
    assert run.social_graph().number_of_edges() == 4


def test_a_sample_world_comes_out_as_it_went_in(tmp_path: Path) -> None:
    """Also what our record has no place for: a key of their own, a score of 7.25, a rating that is a number."""
    records = {
        0: [theirs(0, 0), theirs(0, 1, extra_key={"a": 1}, rating=["6", 3], gen_moral_score_after=7.25)],
        1: [theirs(1, 0, feedback=["only one"], cls_moral_score_after=0.7)],
    }
    import_sample_world(write_world(tmp_path / "w", records), tmp_path / "run")
    place = export_run(tmp_path / "run", "sample_world", tmp_path / "back")
    assert place == tmp_path / "back" / "external_memory"
    for agent, rows in records.items():
        assert json.loads((place / f"agent_{agent}.jsonl").read_text(encoding="utf-8")) == rows
    again = import_sample_world(tmp_path / "back", tmp_path / "again")
    assert again.interactions() == open_run(tmp_path / "run").interactions()


def test_a_run_of_ours_goes_out_and_comes_back(run_dir: Path, tmp_path: Path) -> None:
    """Conversations and scores come back; ratings of neighbours are whole numbers there, rounded half up."""
    export_run(run_dir, "sample_world", tmp_path)
    assert len(list((tmp_path / "external_memory").iterdir())) == 9
    back = import_sample_world(tmp_path, tmp_path / "back").interactions()
    ours = open_run(run_dir).interactions()
    assert [(i.round, i.agent, i.label, i.question, i.draft, i.revision) for i in back] == [
        (i.round, i.agent, i.label, i.question, i.draft, i.revision) for i in ours
    ]
    for theirs_, own in zip(back, ours, strict=True):
        assert [f.reviewer for f in theirs_.feedback] == [f.reviewer for f in own.feedback]
        assert [f.rating.reason for f in theirs_.feedback] == [f.rating.reason for f in own.feedback]
        for a, b in zip(theirs_.feedback, own.feedback, strict=True):
            assert a.rating.value == math.floor((b.rating.value or 0) + 0.5)
        assert theirs_.after.value("alignment") == own.after.value("alignment")


def test_a_row_by_hand() -> None:
    """4.5 rounds to 5; a rating that could not be read is "8", a score -1."""
    said = (Feedback(4, Rating(4.5, reason="hm")), Feedback(7, Rating(None)))
    it = Interaction(2, 3, "bad", "q", "d", said, "r", Score({"alignment": Rating(2.5)}), Score())
    row = write_row(it)
    assert (row["agent_id"], row["iteration"], row["target_id"], row["rating"]) == (3, 2, [4, 7], ["5", "8"])
    assert (row["gen_moral_score_before"], row["gen_moral_score_after"]) == (2.5, -1.0)
    assert read_row(3, 2, row).feedback[0] == Feedback(4, Rating(5.0, reason="hm"))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("[{", "agent_0.jsonl is not JSON: "),
        ('{"question": "q"}', "agent_0.jsonl contains an object; expected an array of interactions"),
        ([{"question": "q"}], "agent_0.jsonl, record 1: has no draft_answer, revised_answer, target_id, feedback, rating"),
        ([theirs(0, 0), 7], "agent_0.jsonl, record 2: is a number; expected an object"),
        ([theirs(0, 0, target_id=[99999999999999999999])],
         "agent_0.jsonl, record 1: target_id contains values that are not agents' numbers, 0 to"),
        ([theirs(0, 0, draft_answer="\ud83d")],
         "agent_0.jsonl, record 1: contains '\\ud83d', half of a character, which no text can contain"),
        ("[" * 100_000, "agent_0.jsonl is not a row: its JSON is nested too deeply"),
        ([theirs(0, 0, target_id=["x"])], "agent_0.jsonl, record 1: target_id contains values that are not agents' numbers"),
        ([theirs(0, 0, rating=5, question=3)], "agent_0.jsonl, record 1: rating is not a list\n  "
                                               "agent_0.jsonl, record 1: question is not text"),
        ("version https://git-lfs.github.com/spec/v1", "agent_0.jsonl is a Git LFS pointer, not the file; fetch it "
                                                       "with: git lfs pull"),
    ],
)  # fmt: skip
def test_a_world_that_cannot_be_read_is_refused_whole(tmp_path: Path, rows: Any, words: str) -> None:
    world = write_world(tmp_path / "w", {0: rows, 1: [theirs(1, 0)]})
    with pytest.raises(DataFileError) as refused:
        import_sample_world(world, tmp_path / "run")
    assert str(refused.value).startswith(f"{world} cannot be imported:\n  {words}")
    assert [path.name for path in tmp_path.iterdir()] == ["w"]


def test_a_folder_without_agents_is_no_world(tmp_path: Path) -> None:
    with pytest.raises(DataFileError) as refused:
        import_sample_world(tmp_path, tmp_path / "run")
    assert str(refused.value) == (
        f"{tmp_path} contains no external_memory/agent_0.jsonl, agent_1.jsonl, ...; expected a sample world"
    )


def test_what_is_there_is_not_overwritten(tmp_path: Path, run_dir: Path) -> None:
    world = write_world(tmp_path / "w", {0: [theirs(0, 0)]})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine")
    with pytest.raises(RunExists, match="is not empty; choose another --out"):
        import_sample_world(world, tmp_path / "full")
    with pytest.raises(RunExists, match="already contains agents' files; choose another --out"):
        export_run(run_dir, "sample_world", world)


def test_iterations_that_repeat_are_told_of(tmp_path: Path) -> None:
    world = write_world(tmp_path / "w", {0: [theirs(0, 1), theirs(0, 1, question="again")]})
    run = import_sample_world(world, tmp_path / "run")
    assert [(i.round, i.question) for i in run.interactions()] == [(0, "q0.1"), (1, "again")]
    assert "iterations are missing or repeated; rounds are the order of an agent's records" in run.manifest["notes"]


def test_another_rubric_does_not_go_into_their_layout(tmp_path: Path) -> None:
    RunWriter(tmp_path / "kind", {"rubric": {"dimensions": ["kindness"], "scale": 5}}).close()
    with pytest.raises(SettingsError, match="rates kindness from 1 to 5; the layout sample_world has alignment and"):
        export_run(tmp_path / "kind", "sample_world", tmp_path / "out")
