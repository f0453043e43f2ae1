"""A run given again from its record, without a model, a rater or an embedder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sandbox.errors import ReplayMiss, RunNotFound
from sandbox.models.base import Message, Request
from sandbox.models.catalog import load_model
from sandbox.scenario.rubric import Dimension
from sandbox.society.observer import DimensionScorer
from sandbox.society.reviewer import Reviewer
from sandbox.store.replay import ReplayEmbedder, ReplayModel, ReplayRater
from sandbox.store.run import open_run
from sandbox.world import World

MakeWorld = Callable[..., World]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"rater": "values", "prior_memories": 4},
        {"score_only": True, "audience": "global"},
        {"neighborhood": "scale_free", "reviewers": 2, "population": "mixed_half_half"},
        {"agents": 6, "movement": 1.0, "active": 0.5, "reviewers": 1},
        {"observer_rater": "values"},
    ],
)
@pytest.mark.parametrize("in_flight", [1, 256])
def test_every_setting_is_replayed(
    tiny_world: MakeWorld, tmp_path: Path, settings: dict[str, Any], in_flight: int
) -> None:
    first = tiny_world(out=tmp_path / "first", **settings).run(3)
    given = {k: v for k, v in settings.items() if k not in ("rater", "observer_rater")}
    again = tiny_world(
        model=f"replay:{tmp_path / 'first'}", embedder=None, out=tmp_path / "again", in_flight=in_flight, **given
    ).run(3)
    assert again.interactions() == first.interactions()
    assert again.metrics() == first.metrics()
    assert [again.memories(agent) for agent in range(9)] == [first.memories(agent) for agent in range(9)]
    for r in range(4):
        assert again.positions(r).equals(first.positions(r))


def test_a_branch_can_be_replayed_from_its_origin(tiny_world: MakeWorld, run_dir: Path, tmp_path: Path) -> None:
    again = tiny_world(model=f"replay:{run_dir}", embedder=None, out=tmp_path / "b", branch=f"{run_dir}@2").run(3)
    assert again.interactions() == open_run(run_dir).interactions()


def test_no_model_is_loaded_for_it(run_dir: Path, tmp_path: Path) -> None:
    import subprocess

    code = (
        "import sys\nfrom sandbox.world import World\n"
        f"World('value_alignment', model='replay:{run_dir}', size=3, out='{tmp_path / 'x'}').run(3)\n"
        "print(sorted({'torch', 'transformers', 'sentence_transformers', 'sklearn'} & set(sys.modules)))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


def test_what_was_never_asked_is_missed(tiny_world: MakeWorld, run_dir: Path, tmp_path: Path) -> None:
    """Also in the middle of a run: nothing is made up, and the message says what to look at."""
    model = load_model(f"replay:{run_dir}")
    assert isinstance(model, ReplayModel)
    with pytest.raises(ReplayMiss) as missed:
        model.generate([Request((Message("user", "Never asked, " * 20),))])
    assert str(missed.value) == (
        f'{run_dir} contains no reply to a request that begins "{("Never asked, " * 20)[:60]}"; replay with the scenario, '
        "seed and settings of its manifest"
    )
    world = tiny_world(model=f"replay:{run_dir}", embedder=None, out=tmp_path / "x", temperature=0.1)
    with pytest.raises(ReplayMiss, match="contains no reply to a request that begins"):
        world.run(1)
    assert open_run(tmp_path / "x").interactions() == []


def test_ratings_are_those_of_whoever_rated(tiny_world: MakeWorld, run_dir: Path) -> None:
    run = open_run(run_dir)
    rater = ReplayRater(str(run_dir))
    it = run.interactions()[0]
    said = it.feedback[0]
    world = tiny_world(size=3)
    reader = Reviewer(world.members[said.reviewer], world.members[it.agent])
    assert rater.rate([(it.question, str(it.draft))], rater_of=reader) == [said.rating]
    judge = DimensionScorer(Dimension("engagement", ""), 7, None, "")
    assert rater.rate([(it.question, str(it.draft)), (it.question, str(it.revision))], rater_of=judge) == [
        it.before.ratings["engagement"], it.after.ratings["engagement"]
    ]  # fmt: skip
    stranger = Reviewer(world.members[it.agent], world.members[said.reviewer])
    with pytest.raises(ReplayMiss, match="contains no rating of an answer that begins"):
        rater.rate([(it.question, str(it.draft))], rater_of=stranger)


def test_embeddings_are_those_that_were_kept(run_dir: Path) -> None:
    from sandbox.embedders.base import load_embedder

    embedder = ReplayEmbedder(str(run_dir))
    questions = [i.question for i in open_run(run_dir).interactions()[:4]]
    assert (embedder.name, embedder.dim) == ("hashing", 256)
    assert np.array_equal(embedder.embed(questions), load_embedder("hashing").embed(questions))
    assert embedder.embed([]).shape == (0, 256)
    with pytest.raises(ReplayMiss, match='contains no embedding of "Never met"'):
        embedder.embed(["Never met"])


def test_what_is_no_run_is_not_replayed(tmp_path: Path) -> None:
    with pytest.raises(RunNotFound, match="is not a run: it does not exist"):
        load_model(f"replay:{tmp_path / 'nowhere'}")
