"""Agents choose among candidates by their own ratings; all candidates are recorded; drafts may be kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sandbox import open_run
from sandbox.models.base import Reply, Request
from sandbox.records import Rating

MakeWorld = Callable[..., Any]


class Numbered:
    """Answers with a number for each request: its place among all requests of the purpose."""

    uri = fingerprint = "numbered:"
    default_rater = "values"

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        self.requests += requests
        return [Reply(f"Text {request.seed % 1000:03d}.") for request in requests]


class ByNumber:
    """Rates a text by the number in it, and each draft alone below or above all revisions."""

    name = "by_number"
    default_candidates = 3

    def __init__(self) -> None:
        self.asked: list[tuple[Any, str]] = []

    def rate(self, items: Sequence[tuple[str, str]], *, rater_of: Any) -> list[Rating]:
        self.asked += [(rater_of.values_key, text) for _, text in items]
        return [Rating(1 + 6 * int(text[5:8]) / 1000) for _, text in items]


def number(text: str) -> int:
    return int(text[5:8])


@pytest.fixture
def make(tiny_world: MakeWorld) -> MakeWorld:
    return lambda **settings: tiny_world(
        **{"model": Numbered(), "rater": ByNumber(), "score_only": True, "size": 2, **settings}
    )


def test_the_candidate_that_the_agent_rates_highest_is_given(make: MakeWorld) -> None:
    for it in make().run(1).interactions():
        drafts, revisions = it.extra["drafts"], it.extra["revisions"]
        assert len(drafts) == len(revisions) == 3
        assert it.draft == max((d["answer"] for d in drafts), key=number)
        best = max((r["answer"] for r in revisions), key=number)
        assert it.extra["kept_draft"] == (number(it.draft) >= number(best))
        assert it.revision == (it.draft if it.extra["kept_draft"] else best)
        assert [d["rating"] for d in drafts] == [pytest.approx(1 + 6 * number(d["answer"]) / 1000) for d in drafts]
        assert it.before.value("alignment") == max(d["scores"]["alignment"] for d in drafts)
        assert it.after.value("alignment") == pytest.approx(1 + 6 * number(it.revision) / 1000)


def test_some_drafts_are_kept_and_some_are_not(make: MakeWorld) -> None:
    kept = [it.extra["kept_draft"] for it in make(size=4).run(1).interactions()]
    assert {True, False} == set(kept)


def test_the_papers_agents_write_one_answer_and_take_every_revision(make: MakeWorld) -> None:
    world = make(candidates=1)
    for it in world.run(1).interactions():
        assert it.extra == {}
        assert it.revision != it.draft
    assert len(world.lm.requests) == 4 * 2
    settings = open_run(world.path).manifest["settings"]
    assert (settings["candidates"], settings["keep_draft"]) == (1, False)


def test_every_revision_may_be_taken_with_candidates(make: MakeWorld) -> None:
    for it in make(keep_draft=False).run(1).interactions():
        assert it.extra["kept_draft"] is False
        assert it.revision == max((r["answer"] for r in it.extra["revisions"]), key=number)


def test_the_first_candidate_is_the_single_answer(make: MakeWorld, tmp_path: Path) -> None:
    one = make(candidates=1, out=tmp_path / "one").run(1).interactions()
    many = make(out=tmp_path / "many").run(1).interactions()
    assert [it.draft for it in one] == [it.extra["drafts"][0]["answer"] for it in many]


def test_the_manifest_says_how_many(make: MakeWorld) -> None:
    world = make()
    world.run(1)
    settings = open_run(world.path).manifest["settings"]
    assert (settings["candidates"], settings["keep_draft"]) == (3, True)


def test_a_record_from_before_goes_on_as_it_began(make: MakeWorld, tmp_path: Path) -> None:
    world = make(candidates=1)
    world.run(1)
    del world.store.manifest["settings"]["candidates"], world.store.manifest["settings"]["keep_draft"]
    world.store.save_manifest()
    world.close()
    run = make(resume=True).run(2)
    assert [len(it.extra) for it in run.interactions()] == [0] * 8


def test_replay_gives_the_same_candidates(make: MakeWorld, tmp_path: Path) -> None:
    world = make()
    run = world.run(2)
    uri = f"replay:{run.path}"
    again = make(model=uri, rater=None, embedder=None, out=tmp_path / "again").run(2)
    assert again.interactions() == run.interactions()


def test_a_language_model_that_rates_writes_one_answer_by_default(tiny_world: MakeWorld) -> None:
    world = tiny_world(rater="lm")
    assert (world.society.candidates, world.society.keep_draft) == (1, False)
    assert tiny_world(rater="lm", candidates=2, out=None).protocol.max_calls is not None


def test_failed_candidates_are_left_out(make: MakeWorld) -> None:
    class Failing(Numbered):
        def generate(self, requests: Sequence[Request]) -> list[Reply]:
            return [
                Reply("", error="out of order") if request.seed % 2 else reply
                for request, reply in zip(requests, super().generate(requests), strict=True)
            ]

    its = make(model=Failing(), size=4).run(1).interactions()
    good = [it for it in its if it.error is None]
    assert any(len(it.extra["drafts"]) < 3 for it in good)
    assert all(it.extra["drafts"] for it in good)
    assert all("out of order" in it.error for it in its if it.error is not None)
