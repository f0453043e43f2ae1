"""States: JSON and nothing else, changed between stages only, and never lost without a word."""

from __future__ import annotations

import copy
import json
import pickle
import re
from enum import StrEnum
from typing import Any

import numpy as np
import pytest

from sandbox.errors import ScenarioError
from sandbox.society.state import Gate, State
from sandbox.store.schema import as_json


class Mood(StrEnum):
    """A text that is more than a text."""

    GOOD = "good"


def state(*, is_open: bool = True, **values: Any) -> State:
    return State("Agent 1", values, Gate(is_open=is_open))


def test_numbers_of_numpy_and_tuples_become_plain_json() -> None:
    made = state(purse=np.float64(1.5), n=np.int64(3), yes=np.bool_(True), row=np.arange(3), pair=(1, np.float32(0.5)))
    made["mood"], made["half"] = Mood.GOOD, "a\ud800"
    assert json.loads(as_json(made)) == {
        "purse": 1.5, "n": 3, "yes": True, "row": [0, 1, 2], "pair": [1, 0.5], "mood": "good", "half": "a\ufffd",
    }  # fmt: skip
    assert [type(made[key]) for key in ("purse", "n", "yes", "mood")] == [float, int, bool, str]
    assert made == json.loads(as_json(made))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("purse", float("nan"), "state['purse'] of Agent 1 is nan, which JSON cannot hold; use None, or a finite number"),
        ("purse", np.float64("inf"), "state['purse'] of Agent 1 is inf, which JSON cannot hold"),
        ("met", {1, 2}, "state['met'] of Agent 1 is a set, which JSON cannot hold; use numbers, texts, truth values, None, "
         "lists and mappings; use sorted(...)"),
        ("owed", {"bank": [1, open]}, "state['owed']['bank'][1] of Agent 1 is a builtin_function"),
        ("trust", {3: 0.5}, "state['trust'] of Agent 1 has the key 3 (int); keys of JSON are text: use str(3)"),
        (7, 1, "the state of Agent 1 has the key 7 (int); keys of JSON are text: use str(7)"),
    ],
)  # fmt: skip
def test_what_json_cannot_hold_is_refused_by_its_key(key: Any, value: Any, words: str) -> None:
    made = state(purse=1)
    with pytest.raises(ScenarioError, match=re.escape(words)) as refused:
        made[key] = value
    assert str(refused.value).startswith(f"{__file__}:")
    assert made == {"purse": 1}


def test_a_state_that_contains_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["me"] = loop
    with pytest.raises(ScenarioError, match="contains itself"):
        state(loop=loop)


CHANGES = {
    "set": lambda s: s.__setitem__("purse", 2),
    "delete": lambda s: s.__delitem__("purse"),
    "update": lambda s: s.update(purse=2),
    "or": lambda s: s.__ior__({"purse": 2}),
    "setdefault": lambda s: s.setdefault("new", 2),
    "pop": lambda s: s.pop("purse"),
    "popitem": lambda s: s.popitem(),
    "clear": lambda s: s.clear(),
    "inner": lambda s: s["trust"].update(a=2),
    "append": lambda s: s["row"].append(4),
    "extend": lambda s: s["row"].extend([4]),
    "add": lambda s: s["row"].__iadd__([4]),
    "times": lambda s: s["row"].__imul__(2),
    "insert": lambda s: s["row"].insert(0, 4),
    "list pop": lambda s: s["row"].pop(),
    "remove": lambda s: s["row"].remove(1),
    "list clear": lambda s: s["row"].clear(),
    "reverse": lambda s: s["row"].reverse(),
    "sort": lambda s: s["row"].sort(reverse=True),
    "item": lambda s: s["row"].__setitem__(0, 4),
    "slice": lambda s: s["row"].__setitem__(slice(0, 2), [4, (5,)]),
    "list delete": lambda s: s["row"].__delitem__(0),
}


@pytest.mark.parametrize("how", CHANGES)
def test_every_way_of_changing_it_is_as_of_dictionaries_and_lists_or_refused(how: str) -> None:
    """The open one ends as a plain dictionary does; the closed one, and a plain one made of it, stay as they are."""
    plain: dict[str, Any] = {"purse": 1, "trust": {"a": 1}, "row": [1, 2, 3]}
    closed = state(is_open=False, **plain)
    with pytest.raises(
        ScenarioError, match=r"of Agent 1 was changed .*within a stage; change it in the scenario's settle"
    ):
        CHANGES[how](closed)
    assert closed == plain
    made = state(**plain)
    CHANGES[how](made)
    CHANGES[how](plain)
    assert json.dumps(made) == json.dumps(plain)


def test_copies_are_apart_and_plain() -> None:
    closed = state(is_open=False, row=[1, {"a": 1}])
    for plain in (copy.deepcopy(closed), pickle.loads(pickle.dumps(closed))):
        plain["row"][1]["a"] = 2
        assert (type(plain), type(plain["row"])) == (dict, list)
    apart = closed.copied(Gate(is_open=True))
    apart["row"][1]["a"] = 3
    assert closed == {"row": [1, {"a": 1}]}
    given = [1]
    apart["given"] = given
    given.append(2)
    assert apart["given"] == [1]


def test_a_missing_key_says_what_there_is() -> None:
    with pytest.raises(KeyError, match="the state of Agent 1 has no 'purs'; it has 'purse'"):
        state(purse=1)["purs"]
    assert state().get("purse", 3) == 3
