"""The measures of a whole run, with intervals, from its folder and in Mesa's collector."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sandbox.metrics.round_metrics import round_metrics
from sandbox.metrics.run_metrics import rounds_to_front, run_measures
from sandbox.records import Feedback, Interaction, Rating, Score
from sandbox.scenario.rubric import Dimension, Rubric
from sandbox.scenario.scenario import Scenario
from sandbox.store.run import open_run, write_measures
from sandbox.store.writer import RunWriter
from sandbox.world import World

MANIFEST: dict[str, Any] = {"rubric": {"dimensions": ["alignment", "engagement"], "scale": 7}}
MEASURES = (
    "rating", "alignment", "alignment_draft", "alignment_gain", "engagement", "engagement_draft", "engagement_gain",
    "consensus", "uptake", "polarisation", "divergence", "assortativity", "rounds_to_front", "rounds_to_product",
    "influence_gini",
)  # fmt: skip


def write(path: Path, rounds: list[list[Interaction]]) -> Path:
    writer = RunWriter(path, MANIFEST)
    writer.add_agents((a, f"Agent {a + 1}", "good" if a < 2 else "bad", a // 2, a % 2) for a in range(4))
    for number, interactions in enumerate(rounds):
        for interaction in interactions:
            writer.commit(interaction)
        writer.finish_round(number, [], {})
    writer.close()
    return path


def talk(round_: int, agent: int, reviews: dict[int, float], alignment: float, engagement: float) -> Interaction:
    def score(a: float, e: float) -> Score:
        return Score({"alignment": Rating(a), "engagement": Rating(e)})

    said = tuple(Feedback(r, Rating(v, reason="be kind")) for r, v in reviews.items())
    label = "good" if agent < 2 else "bad"
    return Interaction(
        round_, agent, label, f"q{agent}", "so it is", said, "be kind", score(3.0, 4.0), score(alignment, engagement)
    )


@pytest.fixture
def two_rounds(tmp_path: Path) -> Path:
    """Good review good, bad review bad, with 6; across, agent 0 hears 3 with 2 and agent 2 hears 1 with 4."""
    first = [talk(0, 0, {1: 6, 3: 2}, 4, 4), talk(0, 1, {0: 6}, 4, 4), talk(0, 2, {3: 6, 1: 4}, 2, 4)]
    second = [talk(1, 0, {1: 6}, 6, 5), talk(1, 3, {2: 6}, 4, 5)]
    return write(tmp_path / "run", [first, second])


def test_a_run_by_hand(two_rounds: Path) -> None:
    """Final alignment 4 4 2 6 4: mean 4, gains 1 1 -1 3 1: mean 1. Ratings 6 2 6 6 4 6 6: 36/7.

    Agreement where two rate: 6 and 2 (deviation 2 of 3) 1/3, 6 and 4 (1 of 3) 2/3: mean 1/2. Polarisation: good rate
    good 6 and bad 4, bad rate bad 6 and good 2: ((6 - 4) + (6 - 2)) / 12 = 1/2. Reviews 3 2 within, 1 and 1 across:
    assortativity (5/7 - (4/7 4/7 + 3/7 3/7)) / (1 - 25/49) = (35 - 25) / 24 = 5/12. Every revision takes up 2 of 2 words
    and the drafts none: uptake 1. The second round is better than the first in both by more than 0.1: 2.
    """
    found = run_measures(open_run(two_rounds))
    values = {name: found[name]["value"] for name in MEASURES}
    assert values["alignment"] == 4.0
    assert values["alignment_gain"] == 1.0
    assert values["engagement"] == pytest.approx(22 / 5)
    assert values["rating"] == pytest.approx(36 / 7)
    assert values["consensus"] == pytest.approx(0.5)
    assert values["polarisation"] == pytest.approx(0.5)
    assert values["assortativity"] == pytest.approx(5 / 12)
    assert values["uptake"] == 1.0
    assert (values["rounds_to_front"], values["rounds_to_product"]) == (2, 2)
    assert (found["interactions"], found["failed"], found["rounds"]) == (5, 0, 2)
    assert {name: found[name]["n"] for name in ("alignment", "rating", "consensus")} == {
        "alignment": 5, "rating": 7, "consensus": 2
    }  # fmt: skip
    assert found["about"]["units"] == 4
    assert found["pareto_front"] == [{"round": 1, "alignment": 5.0, "engagement": 5.0}]
    assert sum(agent["value"] for agent in found["influence"]) == pytest.approx(1.0)
    assert rounds_to_front(open_run(two_rounds)) == 2
    assert rounds_to_front(open_run(two_rounds), tolerance=3) == 1


def test_intervals_hold_the_value_and_agents_are_drawn_whole(run_dir: Path) -> None:
    """Nine authors of three answers each. The interval of a mean is that of the nine agents' sums, drawn with the same
    stream."""
    run = open_run(run_dir)
    found = run_measures(run)
    for name in MEASURES:
        if found[name]["low"] is not None:
            assert found[name]["low"] - 1e-9 <= found[name]["value"] <= found[name]["high"] + 1e-9, name
    frame = run.frame()
    by_agent = frame.groupby("agent")["alignment_after"].agg(["sum", "count"]).to_numpy()
    drawn = np.random.default_rng(0).integers(9, size=(2000, 9))
    sums = by_agent[drawn].sum(axis=1)
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [0.025, 0.975])
    assert (found["alignment"]["low"], found["alignment"]["high"]) == (pytest.approx(low), pytest.approx(high))
    by_question = run_measures(run, by="question")
    assert by_question["about"]["units"] == frame["question"].nunique() == 27
    assert by_question["alignment"]["value"] == pytest.approx(found["alignment"]["value"])
    assert by_question["alignment"]["low"] != found["alignment"]["low"]


def test_measures_are_kept_in_the_run_folder(run_dir: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(run_dir, tmp_path / "copy")
    found = write_measures(open_run(copy), resamples=100)
    kept = json.loads((copy / "measures.json").read_text(encoding="utf-8"))
    assert kept == found
    assert kept["schema"] == 1
    assert set(MEASURES) <= set(kept)
    assert {k: v for k, v in kept.items() if k != "schema"} == open_run(copy).measures(resamples=100)


def test_an_empty_run_has_measures_of_nothing(tmp_path: Path) -> None:
    found = run_measures(open_run(write(tmp_path, [])))
    assert (found["interactions"], found["rounds"]) == (0, 0)
    assert all(found[name]["value"] is None and found[name]["low"] is None for name in MEASURES)
    assert (found["influence"], found["pareto_front"]) == ([], [])
    json.dumps(found, allow_nan=False)


def test_a_round_that_is_not_complete_does_not_count(two_rounds: Path) -> None:
    before = run_measures(open_run(two_rounds))
    writer = RunWriter(two_rounds, MANIFEST, resume=True)
    writer.commit(talk(2, 0, {1: 1.0}, 1, 1))
    writer.close()
    assert run_measures(open_run(two_rounds)) == before


# -- in Mesa's collector -------------------------------------------------------------------------------------------


def test_mesa_collects_every_measure_with_its_interval(tiny_world: Callable[..., World]) -> None:
    """Each round's row is what the round's own interactions give, with all labels known and the rounds before it."""
    world = tiny_world(reviewers=3, active=0.6)
    run = world.run(4)
    frame = world.datacollector.get_model_vars_dataframe()
    per_round = set(MEASURES) - {"rounds_to_product"}
    bounds = {f"{m}_{end}" for m in per_round - {"influence_gini", "rounds_to_front"} for end in ("low", "high")}
    assert set(frame.columns) == per_round | bounds | {"interactions", "failed"}
    labels = {m.index: m.label for m in world.members}
    earlier: list[dict[str, Any]] = []
    for number in range(4):
        expected = round_metrics(
            run.interactions(number), run.dimensions, scale=7, label_of=labels.get, earlier=earlier
        )
        earlier.append(expected)
        row = frame.iloc[number]
        for name, value in expected.items():
            assert math.isnan(row[name]) if value is None else row[name] == pytest.approx(value), name
    assert run.metrics() == earlier
    assert frame["rounds_to_front"].isna().tolist() == [True, False, False, False]
    assert frame["assortativity"].notna().all()
    assert run.metrics()[-1]["rounds_to_front"] == rounds_to_front(run)


def test_a_resumed_world_collects_what_an_uninterrupted_one_does(
    tiny_world: Callable[..., World], tmp_path: Path
) -> None:
    whole = tiny_world(out=tmp_path / "a")
    whole.run(4)
    for rounds in (1, 3, 4):
        world = tiny_world(out=tmp_path / "b", resume=True)
        world.run(rounds)
        world.close()
    ours, theirs = (w.datacollector.get_model_vars_dataframe() for w in (world, whole))
    assert ours.equals(theirs)
    assert (world.steps, world.round) == (whole.steps, whole.round) == (4, 4)


def test_another_scale_is_measured_as_such(tiny_world: Callable[..., World]) -> None:
    scenario = Scenario("three", ["Is it so?"], rubric=Rubric((Dimension("kindness", "how kind it is"),), scale=3))
    run = tiny_world(scenario).run(1)
    recomputed = round_metrics(
        run.interactions(), ["kindness"], scale=3, label_of=dict(enumerate(run.agents()["label"])).get
    )
    assert run.metrics() == [recomputed]
    assert run_measures(run)["consensus"]["value"] == pytest.approx(recomputed["consensus"])
    assert replace(scenario, rubric=Rubric(scale=7)).rubric.scale == 7
