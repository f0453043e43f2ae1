"""Prisoners, misinformation and market: what they pay and count, and their games without language against known results."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sandbox import Request, Run, ScriptedModel, World, open_run
from sandbox.models.base import Reply
from scenarios.market import PRODUCTS, median_rivals
from scenarios.misinformation import contagion
from scenarios.prisoners import imitation


def lived(
    scenario: str, out: Path, rounds: int, react: Callable[[Request], Reply], size: int = 3, **settings: object
) -> Run:
    world = World(
        scenario, model=ScriptedModel(replies=react), rater="lm", embedder="hashing", size=size, out=out, **settings
    )
    world.run(rounds)
    world.close()
    return open_run(out)


def chooses(option: Callable[[Request], str]) -> Callable[[Request], Reply]:
    def react(request: Request) -> Reply:
        if not request.choices:
            return Reply("I say so.")
        chosen = option(request)
        return Reply(chosen, {c: float(c == chosen) for c in request.choices})

    return react


def test_games_between_neighbours_are_paid_by_the_table(tmp_path: Path) -> None:
    """On a 3x3 grid within one step the middle has 4 neighbours, edges 3, corners 2. Only the middle defects."""
    react = chooses(lambda request: "defect" if "You are Agent 5," in request.messages[0].content else "cooperate")
    settings = {"neighborhood": "von_neumann", "radius": 1}
    run = lived("prisoners", tmp_path / "run", 2, react, **settings)
    ends = run.states().query("rounds == 1").sort_values("agent")
    assert ends["points"].tolist() == [6, 6, 6, 6, 20, 6, 6, 6, 6]  # an edge: two games of 3, and one of 0
    assert ends["earned"].tolist() == [3, 2, 3, 2, 5, 2, 3, 2, 3]
    assert run.metrics()[0]["cooperation"] == pytest.approx(8 / 9)
    assert run.metrics()[0]["payoff"] == pytest.approx(25 / 9)
    [second] = [it for it in run.interactions(1) if it.agent == 0]
    assert "Last round: Agent 2: cooperate, Agent 4: cooperate. You earned 3.0 a game." in second.question


def test_a_player_that_fails_plays_no_game(tmp_path: Path) -> None:
    def react(request: Request) -> Reply:
        if "You are Agent 5," in request.messages[0].content:
            return Reply("", finish_reason="error", error="no reply")
        return chooses(lambda _: "cooperate")(request)

    run = lived("prisoners", tmp_path / "run", 1, react, neighborhood="von_neumann", radius=1)
    ends = run.states().query("rounds == 1").sort_values("agent")
    assert ends["points"].tolist() == [6, 6, 6, 6, 0, 6, 6, 6, 6]
    assert (run.metrics()[0]["failed"], run.metrics()[0]["payoff"]) == (1, 3)


@pytest.mark.parametrize("defectors", [0.1, 0.5])
def test_imitation_in_space_ends_where_nowak_and_may_found(defectors: float) -> None:
    """The share of cooperators tends to 12 ln 2 - 8 = 0.318 for 1.8 < temptation < 2 (Nature 359, 826)."""
    shares = imitation(99, 250, defectors=defectors)
    assert np.mean(shares[150:]) == pytest.approx(12 * math.log(2) - 8, abs=0.01)
    assert np.mean(imitation(49, 60, temptation=1.1)[30:]) > 0.9
    assert np.mean(imitation(49, 60, temptation=2.5)[30:]) < 0.05


def test_belief_follows_what_neighbours_post(tmp_path: Path) -> None:
    """Readers believe once a friend posts the claim: each round all readers beside a believer become believers."""

    def react(request: Request) -> Reply:
        if not request.choices:
            return Reply("The lamps are bad!")
        heard = "The lamps are bad!" in request.messages[-1].content
        return Reply("yes" if heard else "no", {"yes": float(heard), "no": float(not heard)})

    run = lived("misinformation", tmp_path / "run", 3, react, size=5, checkers=0.0, spreaders=0.04)
    beliefs = [found["belief"] for found in run.metrics()]
    assert beliefs == sorted(beliefs)
    assert 0 < beliefs[0] < beliefs[1]
    assert [found["belief"] for found in run.metrics()] == [found["exposed"] for found in run.metrics()]
    assert run.metrics()[0]["corrected"] == 0
    ends = run.states().query("rounds == 1").set_index("agent")["belief"]
    assert set(ends) == {0.0, 1.0}


@pytest.mark.parametrize("checkers", [0.0, 0.2, 0.5])
def test_contagion_ends_where_mean_field_theory_says(checkers: float) -> None:
    """In equilibrium p i (1 - c - i) = r i: i is 1 - c - r/p, here with p = 0.4 and r = 0.1, and not below 0."""
    shares = contagion(4000, 200, spread=0.4, recovery=0.1, checkers=checkers)
    assert np.mean(shares[100:]) == pytest.approx(1 - checkers - 0.25, abs=0.01)
    assert contagion(4000, 200, spread=0.4, recovery=0.1, checkers=0.8)[-1] == 0


def test_what_is_sold_is_counted_and_shown_to_sellers(tmp_path: Path) -> None:
    """All buyers take what they read first: who sells is chance, and ``order`` says so."""
    run = lived("market", tmp_path / "run", 2, chooses(lambda request: request.choices[0]))
    assert [found["order"] for found in run.metrics()] == [1, 1]
    sold = run.states().query("rounds == 2").set_index("agent")["sold"]
    assert (sold[0] + sold[1], sold[2:].sum()) == (14, 0)
    share = run.metrics()[0]["first"]
    assert run.metrics()[0]["margin"] == pytest.approx(abs(2 * share - 1))
    [seller] = [it for it in run.interactions(1) if it.agent == 0]
    assert seller.question == PRODUCTS[1]


@pytest.mark.parametrize("buyers", [[0.1, 0.2, 0.3, 0.8, 0.9], [0.1, 0.7, 0.8, 0.9, 0.95]])
def test_rivals_end_at_the_median_buyer(buyers: list[float]) -> None:
    assert median_rivals(buyers) == pytest.approx((np.median(buyers),) * 2)
