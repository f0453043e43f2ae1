"""Files appear whole or not at all."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sandbox.errors import RunExists, RunLocked, SettingsError, StorageError
from sandbox.folders import (
    check_same_identity,
    draft_folder,
    finite,
    locked,
    next_free_name,
    removed_if_refused,
    subfolder,
    whole_file,
    write_json,
)


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


def test_a_folder_has_one_writer_at_a_time(tmp_path: Path) -> None:
    lock = tmp_path / "made" / "x.lock"
    with locked(lock):
        with pytest.raises(RunLocked) as refused, locked(lock):
            pass
        assert str(refused.value) == (
            f"another process is writing to {tmp_path / 'made'}; wait for it, or choose another --out"
        )
    with locked(lock):
        pass


def test_what_differs_is_named_as_it_was_and_as_it_is_now(tmp_path: Path) -> None:
    """Compared as JSON keeps it: tuples are lists, NaN is null; keys that only the folder records are ignored."""
    kept = {"seed": 0, "sizes": [1, 2], "score": None, "models": {"a": 0.75, "b": 0.25}, "started": "now"}
    same = {"seed": 0, "sizes": (1, 2), "score": math.nan, "models": {"a": 0.75, "b": 0.25}}
    check_same_identity(tmp_path, kept, same, what="run")
    with pytest.raises(RunExists) as refused:
        check_same_identity(tmp_path, kept, {**same, "seed": 1, "models": {"a": 1.0}}, what="run", advice="Do so.")
    assert str(refused.value) == (
        f"{tmp_path} holds another run: seed was 0, now 1; models.a was 0.75, now 1.0; models.b was 0.25, now None. Do so."
    )


def test_a_link_is_replaced_and_what_it_leads_to_left_alone(tmp_path: Path) -> None:
    """Also links at the names that temporary files had, or may have."""
    mine, folder = tmp_path / "mine", tmp_path / "received"
    mine.write_text("precious")
    folder.mkdir()
    for name in ("report.html", "report.html.new"):
        (folder / name).symlink_to(mine)
    write_json(folder / "report.html", 1)
    assert mine.read_text() == "precious"
    assert not (folder / "report.html").is_symlink()


def test_locks_and_folders_that_are_links_are_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "figures").symlink_to(elsewhere)
    (tmp_path / "run.lock").symlink_to(elsewhere / "file")
    with pytest.raises(StorageError, match="figures is a link, and its target is not written to"):
        subfolder(tmp_path, "figures")
    with pytest.raises(StorageError, match=r"run\.lock is a link"), locked(tmp_path / "run.lock"):
        pass
    assert list(elsewhere.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    """A process that is killed leaves its draft unlocked; drafts of other names, and of living processes, stay."""
    target = tmp_path / "model"
    code = "import os, sys; from pathlib import Path; from sandbox.folders import draft_folder\n"
    code += f"with draft_folder(Path({str(target)!r})) as draft: (draft / 'weights').write_text('half'); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / ".model-settings").mkdir()  # somebody's own
    with draft_folder(tmp_path / "model-2") as other:
        with draft_folder(target) as draft:
            assert sorted(tmp_path.iterdir()) == sorted([draft, other, tmp_path / ".model-settings"])
        assert other.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == [".model-settings"]


def test_two_processes_do_not_make_the_same_folder(tmp_path: Path) -> None:
    with draft_folder(tmp_path / "model", alone=True):
        with pytest.raises(RunLocked, match="another process is writing to .*model; wait"), draft_folder(
            tmp_path / "model", alone=True
        ):  # fmt: skip
            pass
        with draft_folder(tmp_path / "model"):
            pass


def test_a_path_that_cannot_be_written_is_named_and_not_its_draft(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken") as refused:
        write_json(tmp_path / "taken", 1)
    assert refused.value.filename == str(tmp_path / "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def refuse(folder: Path, *, finished: bool) -> None:
    with removed_if_refused(folder, lambda: finished), locked(folder / "x.lock"):
        write_json(folder / "plan.json", {})
        raise SettingsError("no")


@pytest.mark.parametrize("finished", [False, True])
def test_refused_work_leaves_nothing_unless_a_part_is_finished(tmp_path: Path, finished: bool) -> None:
    new, empty, taken = tmp_path / "new", tmp_path / "empty", tmp_path / "taken"
    empty.mkdir()
    write_json(taken / "mine.json", {})
    for folder in (new, empty, taken):
        with pytest.raises(SettingsError):
            refuse(folder, finished=finished)
    assert new.exists() == finished
    assert bool(list(empty.iterdir())) == finished
    assert (taken / "mine.json").exists()


def test_a_lock_can_be_removed_with_the_folder_made_for_it(tmp_path: Path) -> None:
    with locked(tmp_path / "made" / "x.lock", keep=False):
        pass
    assert list(tmp_path.iterdir()) == []
