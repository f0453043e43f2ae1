"""Files appear whole or not at all."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from sandbox.folders import finite, next_free_name, whole_file, write_json


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "made" / "result.json"
    write_json(path, {"a": 1})

    def write_half() -> None:
        with whole_file(path) as fresh:
            fresh.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert [p.name for p in path.parent.iterdir()] == ["result.json"]
    assert json.loads(path.read_text()) == {"a": 1}


def test_numbers_that_json_cannot_hold_become_null(tmp_path: Path) -> None:
    """NaN and both infinities, at any depth and of numpy's kind too; other values stay."""
    given = {"x": math.nan, "y": [math.inf, (-math.inf, 1.5)], "z": np.float64("nan"), "n": None, "t": "NaN"}
    expected = {"x": None, "y": [None, [None, 1.5]], "z": None, "n": None, "t": "NaN"}
    assert finite(given) == expected
    write_json(tmp_path / "x.json", given, indent=None)
    assert json.loads((tmp_path / "x.json").read_text()) == expected


def test_the_first_free_number_is_taken(tmp_path: Path) -> None:
    (tmp_path / "run-1").mkdir()
    assert next_free_name(tmp_path, "run") == tmp_path / "run-2"
