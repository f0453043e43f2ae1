"""Which sources of rows are files, runs, or data sets of a hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.data_files import is_hub_name


@pytest.mark.parametrize(
    ("source", "expected"),
    [("Anthropic/hh-rlhf", True), ("Anthropic/hh-rlhf:test", True), ("runs/nothing", False), ("pairs.jsonl", False)],
)
def test_what_begins_with_a_local_folder_is_a_path(
    source: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    assert is_hub_name(source) is expected
