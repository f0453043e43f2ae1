"""What files hold has words on the page of file formats: small real runs and sweeps hold nothing else."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import World, open_run
from sandbox.metrics import run_metrics
from sandbox.store import manifest
from sandbox.store.run import write_measures
from sandbox.store.table_words import TABLE_WORDS, column_words, tables
from sandbox.sweep import results
from sandbox.sweep.sweep import run_sweep

CHEAP: dict[str, Any] = {"model": "scripted:", "embedder": "hashing", "size": 2}


def test_every_table_and_column_has_words() -> None:
    assert list(tables()) == [name for name in tables() if TABLE_WORDS[name]]
    assert set(TABLE_WORDS) == set(tables())
    assert all(column_words(name, column) for name, columns in tables().items() for column in columns)


@pytest.mark.parametrize(
    ("scenario", "settings"),
    [
        ("commons", {}),
        ("prisoners", {"neighborhood": "small_world"}),
        ("jury", {"model": "lenient=scripted:,strict=scripted:"}),
    ],
)
def test_a_run_holds_what_the_page_names(
    scenario: str, settings: dict[str, Any], docs_site: Callable[[str], Any], tmp_path: Path
) -> None:
    """Stages, rewards, events, networks, personas: each scenario has others."""
    fields = docs_site("file_fields")
    world = World(scenario, **{**CHEAP, **settings}, out=tmp_path / "run")
    world.run(rounds=1)
    world.close()
    run = open_run(tmp_path / "run")
    write_measures(run, resamples=20)
    held = {
        name: json.loads((run.path / name).read_text(encoding="utf-8")) for name in ("manifest.json", "measures.json")
    }
    assert fields.unnamed(manifest.FIELDS, held["manifest.json"]) == []
    assert all(
        set(value) == {"value", "low", "high", "n"}
        for name, value in held["measures.json"].items()
        if name not in run_metrics.FIELDS
    )
    assert {path.name for path in run.path.iterdir()} - {"run.sqlite-wal", "run.sqlite-shm"} <= set(fields.RUN_FOLDER)
    db = sqlite3.connect(run.path / "run.sqlite")
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
    assert {name: [row[1] for row in db.execute(f"PRAGMA table_info({name})")] for name in names} == {
        name: list(columns) for name, columns in tables().items()
    }
    db.close()


def test_a_sweep_holds_what_the_page_names(docs_site: Callable[[str], Any], tmp_path: Path) -> None:
    run_sweep(
        "value_alignment", grid={"reviewers": [1, 2]}, workers=1, seeds=[0], rounds=1, out=tmp_path / "sweep", **CHEAP
    )
    held = json.loads((tmp_path / "sweep" / "sweep.json").read_text(encoding="utf-8"))
    assert docs_site("file_fields").unnamed(results.FIELDS, held) == []


def test_keys_without_words_are_found(docs_site: Callable[[str], Any]) -> None:
    """An object none of whose keys are named holds any; a star stands for any name."""
    fields = {"a": "", "b": "", "b.c": "", "d.*": "", "d": ""}
    held = {"a": {"any": 1}, "b": [{"c": 1}, {"e": 1}], "d": {"any": 1}, "f": 1}
    assert docs_site("file_fields").unnamed(fields, held) == ["b.e", "f"]


@pytest.mark.needs_torch
def test_rows_have_columns_that_the_page_names(run_dir: Path) -> None:
    from trainers import rows_from
    from trainers.rows.kinds import COLUMN_WORDS, RowKind
    from trainers.rows.layouts import EXTRA_COLUMNS

    columns = {name for kind in RowKind for name in rows_from(run_dir, kind).column_names}
    assert columns | set(EXTRA_COLUMNS) <= set(COLUMN_WORDS)
