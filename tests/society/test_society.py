"""Who hears whom, and what a society refuses."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import ScenarioError
from sandbox.scenario.settings import Audience, SocietySettings
from sandbox.seeding import keyed_rng
from sandbox.society.audience import draw_audience

N_AGENTS = st.integers(2, 40)


@given(
    st.sampled_from(["local", "local_global", "global"]), N_AGENTS, st.floats(0, 0.99), st.integers(0, 9999), st.data()
)
def test_audiences(audience: Audience, n: int, dropout: float, seed: int, data: st.DataObject) -> None:
    """For any neighbours and any quota that can be met: distinct agents, never the author, as many as each kind gives.

    local: min(k, neighbours), all of them neighbours. local_global: k, at least one a neighbour if there is any.
    global: k. The same stream gives the same audience.
    """
    agent = data.draw(st.integers(0, n - 1))
    near = data.draw(st.lists(st.sampled_from([i for i in range(n) if i != agent]), unique=True))
    k = data.draw(st.integers(1, n - 1))
    society = SocietySettings(audience=audience, reviewers=k, dropout=dropout)
    found = draw_audience(society, agent, near, n, random.Random(seed))
    assert agent not in found
    assert len(set(found)) == len(found)
    assert set(found) <= set(range(n))
    if audience == "local":
        assert set(found) <= set(near)
        assert len(found) == min(k, len(near))
    else:
        assert len(found) == k
    if audience == "local_global" and near:
        assert set(found) & set(near)
    assert found == draw_audience(society, agent, near, n, random.Random(seed))


def test_local_global_keeps_its_share_of_the_neighbours() -> None:
    """Eight neighbours, dropout 0.5: four are kept and asked first, and two of the other 91 fill the quota of six.

    With dropout 0.75 two neighbours are kept; with 0.99 a fraction of one, which is made one.
    """
    near = list(range(1, 9))
    for dropout, kept in ((0.5, 4), (0.75, 2), (0.99, 1)):
        society = SocietySettings(audience="local_global", reviewers=6, dropout=dropout)
        for seed in range(20):
            found = draw_audience(society, 0, near, 100, random.Random(seed))
            assert set(found[:kept]) <= set(near)
            assert len(found) == 6


def test_every_neighbour_is_drawn_alike() -> None:
    """2 of 8 neighbours in 4000 draws: each is drawn 1000 times, give or take 5 standard deviations of 27."""
    society = SocietySettings(audience="local", reviewers=2)
    counts = dict.fromkeys(range(1, 9), 0)
    for turn in range(4000):
        for other in draw_audience(society, 0, list(counts), 9, keyed_rng(0, turn, 0, "audience")):
            counts[other] += 1
    assert all(abs(count - 1000) < 137 for count in counts.values())


def test_a_quota_that_cannot_be_met_is_refused() -> None:
    """On 2x2 there are 3 others: global audiences of 4 cannot be had, of 3 can, and local ones make do with fewer."""
    with pytest.raises(ScenarioError) as refused:
        SocietySettings(audience="global").check(2)
    assert str(refused.value) == (
        "this society cannot be set up:\n"
        "  audience 'global' needs 4 reviewers per agent but there are only 3 others; "
        "use reviewers=3 or fewer, a larger --size, or audience=local"
    )
    with pytest.raises(ScenarioError, match="audience 'local_global' needs 9 reviewers .* only 8 others"):
        SocietySettings(audience="local_global", reviewers=9).check(3)
    SocietySettings(audience="global", reviewers=3).check(2)
    SocietySettings(audience="local").check(2)
    SocietySettings(audience="global", reviewers=8).check(3)


def test_more_agents_than_places_are_refused_with_what_would_fit() -> None:
    """20 agents on 4x4 places: 5x5 has 25, and two a cell make 32."""
    with pytest.raises(ScenarioError) as refused:
        SocietySettings(agents=20).check(4)
    assert str(refused.value) == (
        "this society cannot be set up:\n"
        "  20 agents do not fit on 4x4 places with 1 each; use --size 5, capacity=2, or at most 16 agents"
    )
    SocietySettings(agents=20, capacity=2).check(4)
    SocietySettings(agents=16).check(4)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ScenarioError) as refused:
        SocietySettings(
            reviewers=0, dropout=1.0, neighborhood="more", radius=0, degree=0, capacity=0, movement=2, active=0,
            prior_memories=-1, recall_distance=3, max_tokens=0, reason_tokens=0, temperature=-1, top_p=0, agents=1,
        ).check(4)  # fmt: skip
    assert str(refused.value).splitlines() == [
        "this society cannot be set up:",
        "  reviewers=0 must be at least 1",
        "  dropout=1.0 must be in [0, 1)",
        "  radius=0 must be at least 1",
        "  degree=0 must be at least 1",
        "  capacity=0 must be at least 1",
        "  movement=2 must be in [0, 1]",
        "  active=0 must be in (0, 1]",
        "  prior_memories=-1 must be at least 0",
        "  recall_distance=3 must be in [0, 2]",
        "  max_tokens=0 must be at least 1",
        "  reason_tokens=0 must be at least 1",
        "  temperature=-1 must be at least 0",
        "  top_p=0 must be in (0, 1]",
        "  neighborhood='more' must be euclidean, moore, von_neumann, small_world, scale_free, random, or a file of a "
        "network (.graphml, .gexf, .gml, .edgelist, .edges, .txt, .csv, .tsv). Did you mean 'moore'?",
        "  a society needs at least 2 agents, not 1; use --size 2 or more, or agents=2 or more",
    ]
