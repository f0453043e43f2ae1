"""What the commands have in common."""

from __future__ import annotations

import pytest

from sandbox.cli.app import parse_settings
from sandbox.cli.output import figures
from sandbox.errors import SettingsError


def test_a_round_is_shown_in_a_line() -> None:
    metrics = {
        "interactions": 9, "failed": 2, "rating": 4.207, "rating_low": 4.0, "rating_high": 4.4, "kindness": 5.1,
        "kindness_low": 5.0, "kindness_draft": 4.0, "kindness_gain": 1.1, "wit": None, "wit_draft": 3.0,
        "consensus": 0.5, "polarisation": None, "uptake": 0.1,
    }  # fmt: skip
    assert figures(metrics) == "rating 4.21, kindness 4.00 -> 5.10, consensus 0.50, 2 failed"
    assert figures({"interactions": 0, "failed": 0, "rating": None}) == ""


def test_settings_are_pairs_and_dashes_are_underscores() -> None:
    assert parse_settings(["max-tokens=3", "a=b=c", "n="]) == {"max_tokens": "3", "a": "b=c", "n": ""}
    with pytest.raises(SettingsError, match="--set takes KEY=VALUE; found 'x', 'y'"):
        parse_settings(["x", "a=1", "y"])
