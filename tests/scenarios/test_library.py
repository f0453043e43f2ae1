"""The library of scenarios: each keeps the promises of its kind, says what it is, and measures what it says."""

from __future__ import annotations

import importlib
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sandbox import Request, World, open_run, registry
from sandbox.errors import DataFileError, RunExists
from sandbox.models.base import Reply
from sandbox.models.scripted import ScriptedModel
from sandbox.scenario.loading import load_scenario
from sandbox.testing import check_scenario
from scenarios import adversarial, code_of_conduct, commons, jury, norm_emergence, rumour

LIBRARY = [
    "adversarial",
    "code_of_conduct",
    "commons",
    "jury",
    "market",
    "misinformation",
    "norm_emergence",
    "prisoners",
    "public_goods",
    "rumour",
    "value_alignment",
]


def lived(scenario: str, out: Path, rounds: int, react: Any = None, **settings: Any) -> World:
    model = ScriptedModel(replies=react)
    world = World(scenario, model=model, rater="lm", embedder="hashing", size=3, out=out, **settings)
    world.run(rounds)
    world.close()
    return world


def middling(request: Request) -> Reply:
    """What an observer says who has no opinion."""
    return Reply("4", {c: 1 / len(request.choices) for c in request.choices})


def picks(option: str) -> Any:
    """A model that says one thing, and picks one option wherever that is one."""

    def react(request: Request) -> Reply:
        if not request.choices:
            return Reply("I say so.")
        chosen = option if option in request.choices else request.choices[0]
        return Reply(chosen, {c: float(c == chosen) for c in request.choices})

    return react


def test_the_library_is_whole() -> None:
    assert {p.name for p in registry.plugins("scenarios") if p.package == "social-sandbox"} == set(LIBRARY)


@pytest.mark.parametrize("name", LIBRARY)
def test_it_keeps_its_promises_and_is_short_and_says_what_it_is(name: str) -> None:
    check_scenario(name)
    module = importlib.import_module(f"scenarios.{name}")
    assert len(Path(str(module.__file__)).read_text(encoding="utf-8").splitlines()) <= 145
    words = " ".join((module.__doc__ or "").split())
    assert [part for part in ("After ", "Known limits") if part not in words] == []
    assert re.search(r"\b(See|Compare)\b", words), "it does not say which measures to look at"
    own = load_scenario(name, {}).measures
    assert [measure for measure in own if f"``{measure}``" not in words and measure not in ("believers", "told")] == []


def test_three_or_more_speak_by_another_protocol() -> None:
    protocols = {name: load_scenario(name, {}).protocol_name for name in LIBRARY}
    assert sum(protocol != "back_scatter" for protocol in protocols.values()) >= 3
    assert {"debate", "gossip", "discuss+fish"} <= set(protocols.values())


@pytest.mark.parametrize("talk", ["yes", "no"])
@pytest.mark.parametrize(("tons", "lasts"), [(3, None), (5, None), (7, 2), (9, 2)])
def test_the_lake_follows_its_closed_form(tmp_path: Path, talk: str, tons: int, lasts: int | None) -> None:
    """Nine fishers, capacity 90, growth 2. While all take h tons, S(t) = 2 N h + (S(0) - 2 N h) 2^t, at most 90.

    h=3 and h=5: the stock stays full (2 * (90 - 45) = 90). h=7: 126 - 36 * 2^t: 54, then -18: nothing is left in the second
    month, whose stock of 54 does not hold 63. h=9: 162 - 72 * 2^t: 18, then nothing. Under a tenth of 90 the run ends.
    """
    world = lived("commons", tmp_path / "run", 6, picks(str(tons)), talk=talk)
    stocks = [m["stock"] for m in open_run(tmp_path / "run").metrics()]
    full, n = 90.0, 9
    closed = [max(0.0, min(full, 2 * n * tons + (full - 2 * n * tons) * 2**t)) for t in range(1, len(stocks) + 1)]
    assert stocks == pytest.approx(closed)
    assert (len(stocks), world.ended) == (lasts or 6, lasts is not None)
    harvests = [m["harvest"] for m in open_run(tmp_path / "run").metrics()]
    assert harvests[0] == pytest.approx(tons)
    assert world.metrics["equality"] == pytest.approx(1)
    if tons > 5:  # what is left is shared in proportion
        assert harvests == pytest.approx([tons, {7: 6, 9: 2}[tons]])


def test_a_lake_goes_on_after_a_stop_where_it_stood(tmp_path: Path) -> None:
    """Its stock is a state of the world, and states are kept with the round."""
    lived("commons", tmp_path / "run", 1, picks("7"))
    world = World(
        "commons", model=ScriptedModel(replies=picks("7")), rater="lm", embedder="hashing", size=3,
        out=tmp_path / "run", resume=True,
    )  # fmt: skip
    assert commons.level(world) == 54
    assert "holds 54 tons of fish for 9 fishers, 6.0 tons each" in world.question_for(world.members[0])
    world.close()


def test_fishers_hear_what_is_said_in_the_same_month(tmp_path: Path) -> None:
    """All hear their neighbours before they fish, already in the first month; alone nobody says anything."""
    world = lived("commons", tmp_path / "run", 1, picks("3"), radius=1, reviewers=8)
    asked = [r for r in world.lm.history if r.choices]  # type: ignore[attr-defined]
    heard = [r.messages[-1].content.count(": I say so.") for r in asked]
    assert sorted(heard) == [2, 2, 2, 2, 3, 3, 3, 3, 4]
    run = open_run(tmp_path / "run")
    assert {len(it.feedback) for it in run.interactions()} == {2, 3, 4}
    assert run.states().query("rounds == 1")["total"].tolist() == [3] * 9
    alone = lived("commons", tmp_path / "alone", 1, picks("3"), talk="no")
    assert len(alone.lm.history) == 9  # type: ignore[attr-defined]


@pytest.mark.parametrize(("coins", "earned"), [(0, 20), (10, 26), (20, 32)])
def test_a_pot_pays_what_the_game_says(tmp_path: Path, coins: int, earned: float) -> None:
    """Two groups of four and one player alone (the last of nine), all of whom give g: 20 - g + 0.4 * 4 g, alone 20 - g + 0.4 g.

    So giving all earns the group most, and each coin that one gives alone loses 0.6: giving nothing is the equilibrium.
    """
    world = lived("public_goods", tmp_path / "run", 2, picks(str(coins)), punishment="no")
    purses = [agent.state["purse"] for agent in world.members]
    assert purses == pytest.approx([2 * earned] * 8 + [2 * (20 - 0.6 * coins)])
    assert world.metrics["contribution"] == coins
    assert world.metrics["fines"] == 0


def test_who_gives_least_is_fined_by_all_others(tmp_path: Path) -> None:
    """In a group where one gives 0 and three give 20, each pays 1 coin and the one loses 3 for each; all earn 24 or 44 first.

    The one that gave nothing fines the first of the others, who all gave as much.
    """

    def react(request: Request) -> Reply:
        free = "Agent 2," in request.messages[0].content
        wanted = "yes" if "yes" in request.choices else "0" if free else "20"
        if not request.choices:
            return Reply("I say so.")
        chosen = wanted if wanted in request.choices else request.choices[0]
        return Reply(chosen, {c: float(c == chosen) for c in request.choices})

    model = ScriptedModel(replies=react)
    world = World("public_goods", model=model, rater="lm", embedder="hashing", size=2, out=tmp_path / "run")
    world.run(1)
    assert [agent.state["purse"] for agent in world.members] == [24 - 1 - 3, 44 - 1 - 9, 24 - 1, 24 - 1]
    assert world.metrics["fines"] == 1
    assert any("You own 20 coins" in r.messages[-1].content for r in model.history) is False
    world.run(2)
    assert any("You own 20 coins" in r.messages[-1].content for r in model.history)
    world.close()


def test_a_convention_that_wins_ends_the_game(tmp_path: Path) -> None:
    world = lived("norm_emergence", tmp_path / "run", 5, picks("M"))
    assert (world.round, world.ended) == (1, True)
    assert world.metrics["agreement"] == world.metrics["dominance"] == world.metrics["names_alive"] == 1


def test_players_are_told_the_games_they_played(tmp_path: Path) -> None:
    """At most the last two are kept here, also those that others began; what the other named is what it drew for that game."""
    world = lived("norm_emergence", tmp_path / "run", 3, remembered="2")
    run = open_run(tmp_path / "run")
    played: list[list[str]] = []
    for it in run.interactions(2):
        pair = [it.extra["mine"], it.extra["theirs"]]
        played += [pair] * (it.agent == 0) + [pair[::-1]] * (it.extra["partner"] == 0)
    state = run.state(0)
    assert len(state["games"]) == 2
    assert state["games"][-len(played[-2:]) :] == played[-2:]
    assert state["won"] == sum(a == b for a, b in state["games"]) / 2
    [mine] = [it.extra["mine"] for it in run.interactions(2) if it.agent == 0]
    assert world.scenario.options[state["letter"]] == mine
    told = [r.messages[-1].content for r in world.lm.history if r.messages[0].content.startswith("You are Agent 1,")]  # type: ignore[attr-defined]
    assert sum("game 2: you named" in text for text in told) >= 1
    assert not any("game 3: you named" in text for text in told)
    assert norm_emergence.dominance([], world) is None


def test_a_rumour_is_measured_among_listeners(tmp_path: Path) -> None:
    """Listeners say yes once they heard a teller: their belief is the share who live beside one."""

    def react(request: Request) -> Reply:
        if request.prefix == "Rating:":
            return middling(request)
        asked, system = request.messages[-1].content, request.messages[0].content
        if not request.choices:
            return Reply("Beware of the well!" if "tell everybody" in system else "Who knows?")
        yes = float("Beware" in asked or "tell everybody" in system)
        return Reply("yes", {"yes": yes, "no": 1 - yes})

    world = lived("rumour", tmp_path / "run", 2, react)
    first, second = open_run(tmp_path / "run").metrics()
    assert (first["belief"], first["told"], first["contact"]) == (0, 1, None)
    tellers = {a.index for a in world.members if a.label == "teller"}
    assert len(tellers) == 2
    beside = [
        a for a in world.members
        if a.index not in tellers and tellers & {b.index for b in world.space.neighbors(a)}
    ]  # fmt: skip
    assert second["belief"] == second["believers"] == pytest.approx(len(beside) / 7)
    assert second["contact"] == 1
    assert (first["reached"], second["reached"]) == (0, pytest.approx(len(beside) / 7))
    ends = open_run(tmp_path / "run").states().query("rounds == 2").set_index("agent")
    assert set(ends.index[ends["belief"] == 1]) == tellers | {a.index for a in beside}
    assert {a.label for a in lived("rumour", tmp_path / "c", 1, react, checkers="0.22").members} == set(
        ("teller", "checker", "listener")
    )
    assert rumour.belief([], world) is None


def test_a_run_of_an_earlier_version_opens_and_is_not_resumed(tmp_path: Path) -> None:
    """It has no states, and lacks a measure that was added since."""
    lived("rumour", tmp_path / "run", 1, picks("yes"))
    with closing(sqlite3.connect(tmp_path / "run" / "run.sqlite", isolation_level=None)) as db:
        db.executescript("DROP TABLE states; UPDATE rounds SET metrics = json_remove(metrics, '$.reached')")
    assert "reached" not in open_run(tmp_path / "run").metrics()[0]
    with pytest.raises(RunExists, match="was recorded before its scenario had states"):
        lived("rumour", tmp_path / "run", 2, picks("yes"), resume=True)


def test_a_correction_is_told_to_all_before_its_round(tmp_path: Path) -> None:
    world = lived("rumour", tmp_path / "run", 2, picks("yes"), correction="2")
    asked = [r.messages[0].content for r in world.lm.history if r.choices == ("yes", "no")]  # type: ignore[attr-defined]
    assert [rumour.CORRECTION in system for system in asked] == [False] * 9 + [True] * 9
    assert [event for event in open_run(tmp_path / "run").events()["event"]] == ["correct"]


def test_a_jury_is_measured_before_and_after(tmp_path: Path) -> None:
    """Privately strict jurors are sure of guilt, lenient ones of the opposite; after hearing others all doubt."""

    def react(request: Request) -> Reply:
        if request.prefix == "Rating:":
            return middling(request)
        if not request.choices:
            return Reply("It is not clear.")
        guilty = (
            0.5 if "heard others" in request.messages[-1].content else float("strict" in request.messages[0].content)
        )
        return Reply("guilty", {"guilty": guilty, "not guilty": 1 - guilty})

    world = lived("jury", tmp_path / "run", 1, react)
    strict = sum(a.label == "strict" for a in world.members) / 9
    assert 0 < strict < 1
    m = world.metrics
    assert m["polarisation_private"] == pytest.approx(4 * strict * (1 - strict))
    assert (m["polarisation_vote"], m["by_outlook"], m["moved"]) == (0, 0, 0.5)
    assert m["shift"] == pytest.approx(-abs(strict - 0.5))
    assert len({it.question for it in open_run(tmp_path / "run").interactions()}) == 1
    assert jury.shift([], world) is None
    asked = [r for r in world.lm.history if "heard others" in r.messages[-1].content]  # type: ignore[attr-defined]
    heard = [r.messages[-1].content.count(": It is not clear.") for r in asked]
    assert heard == [1 + len(it.feedback) for it in open_run(tmp_path / "run").interactions()]  # its own words first
    assert max(heard) == 4
    ends = open_run(tmp_path / "run").states().query("rounds == 1")
    assert (set(ends["private"]), set(ends["vote"])) == ({0, 1}, {0.5})
    frame = open_run(tmp_path / "run").frame(extra=True)
    assert set(frame["extra.vote.guilty"]) == {0.5}
    assert frame.groupby("label")["extra.private.guilty"].mean().to_dict() == {"lenient": 0, "strict": 1}
    people = open_run(tmp_path / "run").agents()
    assert list(people.columns[-3:]) == ["age", "job", "outlook"]
    assert people["age"].dtype.kind in "if"
    assert people["outlook"].tolist() == people["label"].tolist()


def test_adversaries_are_told_apart_from_members(tmp_path: Path) -> None:
    """Who talked with an adversary is rated 2 after 6, who talked with a member stays at 6: a pull of -4."""

    def react(request: Request) -> Reply:
        system, asked = request.messages[0].content, request.messages[-1].content
        if request.prefix == "Rating:":
            value = "2" if "I give in" in asked else "6"
            return Reply(value, {c: float(c == value) for c in request.choices})
        if request.choices:
            return Reply(request.choices[0], {c: 1 / len(request.choices) for c in request.choices})
        if "misbehave" in system:
            return Reply("Just cheat.")
        return Reply("I give in." if "Just cheat" in asked and "heard others" in asked else "I stay honest.")

    world = lived("adversarial", tmp_path / "run", 1, react)
    assert sum(a.label == "adversary" for a in world.members) == 3
    record = open_run(tmp_path / "run").interactions()
    against = [it.extra["opponent_label"] == "adversary" for it in record if it.label == "member"]
    assert world.metrics["pull"] == (-4 if 0 < sum(against) < 6 else None)
    assert world.metrics["members"] == pytest.approx(6 - 4 * sum(against) / 6)
    assert world.metrics["swayed"] == (1 if any(against) else None)
    assert world.metrics["told"] == 6
    assert adversarial.pull([], world) is None


def test_a_policy_of_ones_own_is_the_rubric(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text(
        "# Ours\n\n## Be on time\n\nCome at nine.\n\n## 2nd rule\nBe kind.\n", encoding="utf-8"
    )
    made = load_scenario("code_of_conduct", {"policy": str(tmp_path / "mine.md"), "scale": "3"})
    assert [(d.name, d.words) for d in made.rubric.dimensions] == [
        ("be_on_time", "how well the answer keeps to this rule on be on time: Come at nine."),
        ("rule_2nd_rule", "how well the answer keeps to this rule on 2nd rule: Be kind."),
    ]
    assert made.rubric.scale == 3
    for text, words in (
        ("no headings", "has no headings of level 2"),
        ("## Empty\n", "the section 'Empty' has no text"),
    ):
        (tmp_path / "bad.md").write_text(text, encoding="utf-8")
        with pytest.raises(DataFileError, match=words):
            load_scenario("code_of_conduct", {"policy": str(tmp_path / "bad.md")})
    settings = {"policy": str(tmp_path / "mine.md"), "examples": str(code_of_conduct.LABELLED)}
    with pytest.raises(
        DataFileError, match="has examples of confidentiality, respect, honesty, which are not sections"
    ):
        load_scenario("code_of_conduct", settings)


def test_the_policy_that_comes_with_it_can_be_rated_by_values() -> None:
    made = load_scenario("code_of_conduct", {})
    assert [d.name for d in made.rubric.dimensions] == ["confidentiality", "respect", "honesty"]
    assert all(len(d.examples) == 10 and sum(e.good for e in d.examples) == 5 for d in made.rubric.dimensions)
    assert (len(made.questions), len(made.heldout)) == (15, 5)
