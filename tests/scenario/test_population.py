"""Who is in a society: labels and language models, dealt by hand."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import ScenarioError
from sandbox.scenario.population import apportion, deal_models, labels, read_models, read_population


def letters(population: str, size: int, seed: int = 0) -> str:
    """The first letter of each label, rows apart."""
    found = [label[0] for label in labels(population, size * size, size, random.Random(seed))]
    return "/".join("".join(found[i : i + size]) for i in range(0, len(found), size))


@pytest.mark.parametrize(
    ("size", "expected"),
    [(2, "gg/bb"), (3, "ggg/bgb/bbb"), (4, "gggg/bggg/bbgb/bbbb"), (5, "ggggg/bgggg/bbggg/bbbbb/bbbbb")],
)
def test_half_half_is_good_above_the_diagonal_until_half_are(size: int, expected: str) -> None:
    """Good where row <= column, in row-major order, until floor(n^2 / 2): 2, 4, 8, 12 agents.

    At n=4 the first rows give 4 + 3 = 7, so one of the third row's two is the last. At n=5: 5 + 4 + 3 = 12.
    """
    assert letters("half_half", size) == expected


@given(st.sampled_from(["half_half", "mixed_half_half"]), st.integers(2, 12), st.integers())
def test_half_of_the_agents_rounded_down_are_good(population: str, size: int, seed: int) -> None:
    found = labels(population, size * size, size, random.Random(seed))
    assert len(found) == size * size
    assert found.count("good") == size * size // 2
    assert found.count("bad") == size * size - size * size // 2


def test_populations_of_one_label() -> None:
    assert letters("all_good", 3) == "ggg/ggg/ggg"
    assert letters("all_bad", 2) == "bb/bb"


def test_mixed_half_half_is_dealt_by_its_stream() -> None:
    """The same stream deals the same; 100 seeds deal 16 agents in far more than two ways (there are 12,870)."""
    assert letters("mixed_half_half", 4, seed=1) == letters("mixed_half_half", 4, seed=1)
    assert len({letters("mixed_half_half", 4, seed) for seed in range(100)}) > 90


@pytest.mark.parametrize(
    ("shares", "n", "seats"),
    [
        ({"good": 0.7, "bad": 0.3}, 10, [7, 3]),
        ({"good": 0.7, "bad": 0.3}, 16, [11, 5]),
        ({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, 16, [6, 5, 5]),
        ({"a": 0.5, "b": 0.25, "c": 0.25}, 3, [1, 1, 1]),
        ({"a": 1.0, "b": 0.0}, 4, [4, 0]),
    ],
)
def test_seats_go_to_the_largest_remainders(shares: dict[str, float], n: int, seats: list[int]) -> None:
    """0.7 of 16 is 11.2 and 0.3 is 4.8: 11 and 4, and the one left goes to the larger remainder, .8.

    Thirds of 16 are 5.33 each: the one left goes to the first of equals. Of three seats 1.5, 0.75, 0.75: one each by
    whole numbers is 1, 0, 0, and the two left go to .75 and .75.
    """
    dealt = apportion(shares, n)
    assert [dealt.count(name) for name in shares] == seats


@given(st.dictionaries(st.text(min_size=1), st.integers(1, 100), min_size=1, max_size=5), st.integers(1, 200))
def test_every_seat_is_dealt_within_one_of_its_share(weights: dict[str, int], n: int) -> None:
    total = sum(weights.values())
    dealt = apportion({name: w / total for name, w in weights.items()}, n)
    assert len(dealt) == n
    assert all(abs(dealt.count(name) - n * w / total) < 1 + 1e-6 for name, w in weights.items())


def test_a_population_is_a_name_or_shares() -> None:
    assert read_population("half_half") == "half_half"
    assert read_population("good=0.7, bad=0.3") == {"good": 0.7, "bad": 0.3}
    assert read_population({"kind": 0.25, "rude": 0.75}) == {"kind": 0.25, "rude": 0.75}


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        (
            "half_hlaf",
            "population 'half_hlaf' is not one of all_good, all_bad, half_half, mixed_half_half, nor shares of labels "
            "such as good=0.7,bad=0.3, nor column:NAME of the personas. Did you mean 'half_half'?",
        ),
        ("good=0.7,bad=0.4", "shares of a population must be 0 or more and sum to 1; found {'good': 0.7, 'bad': 0.4}"),
        ({"good": 1.5, "bad": -0.5}, "shares of a population must be 0 or more and sum to 1; found "
                                     "{'good': 1.5, 'bad': -0.5}"),
        ({}, "shares of a population must be 0 or more and sum to 1; found {}"),
    ],
)  # fmt: skip
def test_other_populations_are_refused(given_: Any, words: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        read_population(given_)
    assert str(refused.value) == words


def test_shares_of_labels_are_dealt_at_random() -> None:
    dealt = labels({"kind": 0.25, "rude": 0.75}, 16, 4, random.Random(0))
    assert (dealt.count("kind"), dealt.count("rude")) == (4, 12)
    assert dealt != sorted(dealt)


def test_who_speaks_through_what() -> None:
    """One model for all; one for each label; or shares of the agents, where a URI may hold a colon and an equals sign."""
    assert read_models("hf:a") == {"": "hf:a"}
    assert read_models("good=hf:a,bad=scripted:b.jsonl") == {"good": "hf:a", "bad": "scripted:b.jsonl"}
    assert read_models({"hf:a": 0.5, "hf:b": "0.5"}) == {"hf:a": 0.5, "hf:b": 0.5}
    with pytest.raises(ScenarioError, match=r"shares of language models must sum to 1; found .*, in all 0\.9"):
        read_models({"hf:a": 0.5, "hf:b": 0.4})


def test_models_are_dealt_by_label_or_by_share() -> None:
    dealt = ["good", "bad", "bad", "good"]
    assert deal_models({"": "m"}, dealt, random.Random(0)) == ["m"] * 4
    assert deal_models({"good": "g", "bad": "b"}, dealt, random.Random(0)) == ["g", "b", "b", "g"]
    assert sorted(deal_models({"a": 0.25, "b": 0.75}, dealt, random.Random(0))) == ["a", "b", "b", "b"]
    with pytest.raises(ScenarioError) as refused:
        deal_models({"good": "g", "evil": "e"}, dealt, random.Random(0))
    assert str(refused.value) == "agents labelled bad have no language model; found models for evil, good"
