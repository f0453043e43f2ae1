"""Societies that evolve, on a tiny model: who speaks, who goes on, what is done twice, and when it is stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sandbox import ScriptedModel, World, load_scenario
from sandbox.errors import RunExists, SandboxError
from sandbox.store.run import open_run
from trainers.evolution import evolution
from trainers.evolution.evolution import FIELDS, Evolution
from trainers.evolution.generations import model_shares, paired_differences, society_scores, verdict
from trainers.evolution.outcomes import HeldOutSociety, outcome_of
from trainers.evolution.settings import EvolutionSettings

pytestmark = pytest.mark.needs_torch

SMALL = {"size": 2, "embedder": "hashing", "rater": "values", "max_tokens": 6, "reason_tokens": 6}

Make = Callable[..., Evolution]


@pytest.fixture
def make(tiny_lm_path: Path, tmp_path: Path) -> Make:
    """Evolutions of a tiny model in the test's own folder."""

    def made(**plan: Any) -> Evolution:
        given: dict[str, Any] = {
            "base": f"hf:{tiny_lm_path}", "out": tmp_path / "evo", "generations": 1, "rounds": 1, "n_questions": 6,
            "max_tokens": 6, "settings": SMALL, "training": {"epochs": 1, "progress": False, "learning_rate": 1e-3},
        }  # fmt: skip
        whole = {"scenario": "value_alignment", **given, **plan}
        return Evolution(whole.pop("scenario"), **whole)

    return made


def test_the_best_of_several_goes_on_and_nothing_is_done_twice(
    make: Make, tmp_path: Path, docs_site: Callable[[str], Any]
) -> None:
    """Chosen by the raters on questions 0 and 3; evaluated on the other four."""
    plan = {"trainers": ("sft", "stable_alignment"), "share": 0.5, "generations": 2}
    result = make(**plan).run()
    base, first, second = result["generations"]
    assert (base["trainer"], base["society"], base["since_first"], base["verdict"]) == (None, None, None, None)
    fitness = {c["trainer"]: c["fitness"]["mean"] for c in first["candidates"]}
    assert set(fitness) == {"sft", "stable_alignment"}
    assert fitness[first["trainer"]] == max(fitness.values())
    assert first["candidates"][0]["fitness"]["n"] == 2
    assert first["heldout"]["values"]["alignment"]["n"] == first["heldout"]["independent"]["alignment"]["n"] == 4
    # The second society speaks half through each of two generations, and is asked the next questions.
    runs = [open_run(tmp_path / "evo" / f"generation-{n}" / "run") for n in (1, 2)]
    assert set(runs[1].manifest["models"]["agents"]["dealt"].values()) == {0.5}
    asked = [{it.question for it in run.interactions()} for run in runs]
    assert not asked[0] & asked[1]
    assert second["society"]["scores"]["alignment"]["n"] == 4
    made = {p: p.stat().st_mtime_ns for p in (tmp_path / "evo").rglob("*") if p.suffix in (".json", ".safetensors")}
    again = make(**plan).run()
    assert again == json.loads((tmp_path / "evo" / "evolve.json").read_text(encoding="utf-8"))
    assert again["generations"] == result["generations"]
    fields = docs_site("file_fields")
    assert fields.unnamed({**FIELDS, **fields.described(EvolutionSettings)}, again) == []
    changed = [p.name for p, when in made.items() if p.stat().st_mtime_ns != when and "run" not in p.parts]
    assert changed == ["evolve.json"]
    with pytest.raises(RunExists, match="holds another evolution: rounds was 1, now 2"):
        make(**{**plan, "rounds": 2}).run()


def test_it_stops_where_raters_are_fooled(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evolution, "verdict", lambda raters, judge: "fooled")
    said: list[str] = []
    result = make(generations=2, stop=True).run(said.append)
    assert len(result["generations"]) == 2
    assert result["stopped"] == said[-1]
    assert "the score by the society's raters (values) rose" in said[-1]
    assert "that by the judge (independent) fell: the model may be exploiting its raters" in said[-1]


def test_raters_and_judge_part_ways() -> None:
    def score(mean: float, half: float) -> dict[str, float]:
        return {"mean": mean, "low": mean - half, "high": mean + half}

    assert verdict(score(1, 0.5), score(-1, 0.5)) == "fooled"
    assert verdict(score(1, 0.5), score(-1, 2)) == "apart"
    assert verdict(score(1, 0.5), score(0.5, 2)) is None
    assert verdict(score(-1, 0.5), score(-1, 0.5)) is None
    nothing = dict.fromkeys(("mean", "low", "high"), float("nan"))
    assert verdict(nothing, nothing) is None


def test_differences_are_paired_by_question() -> None:
    found = paired_differences({"j": {"d": {"a": 3.0, "b": 5.0, "c": 1.0}}}, {"j": {"d": {"a": 2.0, "b": 2.0}}})
    assert (found["j"]["d"]["mean"], found["j"]["d"]["n"]) == (2.0, 2)


def test_generations_live_side_by_side() -> None:
    """A half of each newcomer leaves a quarter, a quarter and a half."""
    assert model_shares(["a"], 0.5) == "a"
    assert model_shares(["a", "b", "c"], 1.0) == "c"
    assert model_shares(["a", "b", "c"], 0.5) == {"a": 0.25, "b": 0.25, "c": 0.5}
    assert model_shares(["a", "b", "a"], 0.5) == {"a": 0.75, "b": 0.25}


def test_a_societys_scores_are_means_over_its_answers(run_dir: Path) -> None:
    frame = open_run(run_dir).frame()
    found = society_scores(run_dir)
    final = frame["alignment_after"].fillna(frame["alignment_before"])
    assert found["scores"]["alignment"]["mean"] == pytest.approx(final.mean())
    assert found["rating"]["mean"] == pytest.approx(frame["rating"].mean())
    assert found["scores"]["alignment"]["low"] < found["scores"]["alignment"]["mean"]


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"share": 0.0}, r"share=0.0 must be in \(0, 1\]"),
        ({"begin": "first"}, "'first' is not one of last, base"),
        ({"trainers": ("sft", "sft")}, "name trainers, each once; found sft, sft"),
        ({"judge": "hf:./nowhere"}, "'./nowhere' is not a folder"),
        ({"judge": "values"}, "judge 'values' also rates in the society; give an independent one"),
        ({"training": {"epoch": 1}}, "trainer 'stable_alignment' has no setting 'epoch'"),
        (
            {"training": {"sfd.epochs": 1}, "trainers": ("sft", "dpo")},
            "sfd.epochs: not one of the trainers of this evolution, sft, dpo. Did you mean 'sft'?",
        ),
        ({"training": {"args.optim": 1, "args.nothing": 1}, "judge": "values"}, "judge 'values' also rates"),
        ({"n_questions": 1, "trainers": ("sft", "dpo")}, "has too few held-out questions"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(
    make: Make, tmp_path: Path, plan: Any, message: str
) -> None:
    with pytest.raises(SandboxError, match=message):
        make(**plan)
    assert not (tmp_path / "evo").exists()


def test_an_evolution_that_is_refused_as_it_starts_does_not_block_its_folder(make: Make, tmp_path: Path) -> None:
    """A rater that only its loading can find missing; the same folder then takes another evolution."""
    with pytest.raises(SandboxError, match="nowhere"):
        make(judge="reward:./nowhere").run()
    assert not (tmp_path / "evo").exists()


@pytest.fixture
def rewarded(make: Make) -> Make:
    """Evolutions of a game about money on one of its rewards; the game has no held-out questions."""
    training = {"max_steps": 2, "baseline": "record", "progress": False, "learning_rate": 1e-3}
    given = {"reward": "welfare", "record": "last", "societies": 2, "heldout": ("pot_return=0.6,punishment=no",)}

    def made(**plan: Any) -> Evolution:
        base = {"scenario": "public_goods", "settings": {"agents": 8, "embedder": "hashing"}, "training": training}
        return make(**{**base, **given, "trainers": ("policy_gradient",), **plan})

    return made


def test_a_reward_is_measured_in_held_out_societies(
    rewarded: Make, tmp_path: Path, docs_site: Callable[[str], Any]
) -> None:
    """The mean over agents and rounds of each society's own record, the same seeds in each generation, paired."""
    result = rewarded().run()
    paid = []
    for number in (0, 1):
        outcome = result["generations"][number]["outcome"]
        runs = [open_run(tmp_path / "evo" / f"generation-{number}" / f"heldout-1-{one}") for one in (1, 2)]
        means = [run.frame()["reward.welfare"].mean() for run in runs]
        assert [one["reward"] for one in outcome["societies"]] == pytest.approx(means)
        assert outcome["reward"]["mean"] == pytest.approx(sum(means) / 2)
        assert [one["measures"]["fines"] for one in outcome["societies"]] == [0, 0]  # without punishment
        assert all("brings 0.6 coins" in it.question for run in runs for it in run.interactions())
        paid.append(means)
    gain = result["generations"][1]["outcome_since_first"]
    assert gain["mean"] == pytest.approx(sum(after - before for before, after in zip(*paid, strict=True)) / 2)
    seeds = [{s["seed"] for s in one["outcome"]["societies"]} for one in result["generations"]]
    assert seeds[0] == seeds[1]
    assert len(seeds[0]) == 2
    assert (result["heldout_questions"], result["generations"][1]["heldout"]) == (0, None)
    fields = docs_site("file_fields")
    assert fields.unnamed({**FIELDS, **fields.described(EvolutionSettings)}, result) == []
    assert rewarded().run()["generations"] == json.loads(json.dumps(result["generations"]))


def test_an_evolution_from_before_a_setting_goes_on(rewarded: Make, tmp_path: Path) -> None:
    settings = {"agents": 4, "embedder": "hashing"}
    first = rewarded(heldout=(), societies=3, settings=settings).run()
    path = tmp_path / "evo" / "evolve.json"
    kept = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({k: v for k, v in kept.items() if k not in ("heldout", "societies")}), encoding="utf-8")
    assert rewarded(heldout=(), societies=3, settings=settings).run()["generations"] == first["generations"]
    with pytest.raises(RunExists, match="societies was 3, now 2"):
        rewarded(heldout=(), settings=settings).run()


def test_rounds_after_the_end_of_a_society_are_rewarded_with_nothing(tmp_path: Path) -> None:
    """Four fishers take 9 of 10 tons each; 4 tons are left and double to 8; they share these, 2 each; the lake is empty."""
    lake = load_scenario("commons", {"talk": "no"})
    greedy = ScriptedModel(replies=lambda request: request.choices[-1])
    with closing(World(lake, model=greedy, agents=4, out=tmp_path / "lake", embedder="hashing")) as world:
        world.run(8)
    [found] = outcome_of([HeldOutSociety({}, lake, {}, 0, "lake")], tmp_path, "catch", 8)["societies"]
    assert found["rounds"] == 2
    assert found["reward"] == pytest.approx((9 + 2) / 8)
    assert found["measures"]["harvest"] == pytest.approx((9 + 2) / 2)


def test_a_model_stays_where_everything_is_rewarded_alike(rewarded: Make) -> None:
    """All four players are one group, which shares its welfare."""
    said: list[str] = []
    result = rewarded(settings={"agents": 4, "embedder": "hashing", "punishment": "no"}).run(said.append)
    base, first = result["generations"]
    assert first["model"] == base["model"]
    assert "rewarded alike (welfare)" in first["unchanged"]
    assert any("the model stays" in line for line in said)
    assert first["outcome_since_first"]["mean"] == 0


def test_the_best_of_several_is_the_one_that_is_rewarded_most(rewarded: Make) -> None:
    [_, first] = rewarded(trainers=("rft", "policy_gradient"), training={"max_steps": 2, "progress": False}).run()[
        "generations"
    ]
    fitness = {c["trainer"]: c["fitness"]["mean"] for c in first["candidates"]}
    assert fitness[first["trainer"]] == max(fitness.values())


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"reward": None, "heldout": ()}, r"too few held-out questions.*--reward"),
        ({"reward": None}, "name it with reward"),
        ({"heldout": ("pot_return",)}, "'pot_return' are not of the form name=value"),
        ({"heldout": ("agents=4,agents=8",)}, "twice"),
        ({"heldout": ("pot_returns=0.3",)}, "pot_return"),
        ({"reward": "wellfare"}, "welfare"),
    ],
)
def test_held_out_societies_that_cannot_be_made_are_refused_before_anything_starts(
    rewarded: Make, tmp_path: Path, plan: dict[str, Any], said: str
) -> None:
    with pytest.raises(SandboxError, match=said):
        rewarded(**plan).run()
    assert not (tmp_path / "evo").exists()
