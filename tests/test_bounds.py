"""Settings that would hang, use up the memory or break a library are refused before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox import World
from sandbox.errors import SandboxError, SettingsError
from sandbox.scenario.settings import SocietySettings
from sandbox.sweep.grid import parse_seeds
from sandbox.typed_settings import check_seeds


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"agents": 10**12}, "1000000000000 must be at most 2147483647"),
        ({"agents": 10**9}, "1000000000 agents are too many; use at most 1000000"),
        ({"capacity": 0}, "capacity=0 must be at least 1"),
        ({"max_tokens": 10**20}, "max_tokens=100000000000000000000 must be at most 2147483647"),
        ({"size": -5}, "size=-5 must be from 1 to 1000"),
        ({"size": 10**6}, "size=1000000 must be from 1 to 1000"),
        ({"seed": -1}, r"a seed must be a whole number in \[0, 4294967295\]; found -1"),
        ({"seed": 2**32}, r"a seed must be a whole number in \[0, 4294967295\]; found 4294967296"),
    ],
)
def test_a_society_that_cannot_be_held(tmp_path: Path, given: dict[str, Any], words: str) -> None:
    settings = {"embedder": "hashing", "model": "scripted:", "out": tmp_path / "run", **given}
    with pytest.raises(SandboxError, match=words):
        World("value_alignment", **settings)
    assert not (tmp_path / "run").exists()


def test_the_largest_society_is_accepted() -> None:
    SocietySettings(agents=1_000_000).check(1000)


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ([], "give from 1 to 1000 seeds, not 0"),
        (range(1001), "give from 1 to 1000 seeds, not 1001"),
        ([1, 1], "give each seed once; found 1, 1"),
        ([1.5, True], r"must be a whole number in \[0, 4294967295\]; found 1.5, True"),
    ],
)
def test_seeds_that_cannot_be_used(seeds: Any, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        check_seeds(seeds)


@pytest.mark.parametrize("text", ["0", "1001", "9" * 5000])
def test_a_number_of_seeds_is_bounded_before_a_list_is_made(text: str) -> None:
    with pytest.raises(SettingsError, match="must be from 1 to 1000, or a list"):
        parse_seeds(text)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_tokens": -1}, "max_tokens=-1 must be at least 1"),
        ({"max_tokens": "0", "top_p": "2"}, r"max_tokens=0 must be at least 1\n  top_p=2.0 must be in \(0, 1\]"),
        ({"temperature": -1.0}, "temperature=-1.0 must be at least 0"),
        ({"seeds": []}, "give from 1 to 1000 seeds"),
        ({"seed": -1}, "a seed must be a whole number"),
        ({"samples": 10**9}, "samples=1000000000 must be from 1 to 1000"),
    ],
)
def test_an_evaluation_that_cannot_be_asked(given: dict[str, Any], words: str) -> None:
    evaluation = pytest.importorskip("trainers.evaluation.evaluation")
    with pytest.raises(SettingsError, match=words):
        evaluation.Evaluation(["scripted:"], ["q"], judge="scripted:", embedder="hashing", **given)
