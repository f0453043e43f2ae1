"""Errors of disks, folders and databases are told in one line that names the way out; exit code 2."""

from __future__ import annotations

import errno
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from sandbox import open_run
from sandbox.errors import DamagedFile, RunNotFound, StorageError
from sandbox.storage_errors import storage_error

SANDBOX = [sys.executable, "-m", "sandbox"]
RUN = ["run", "value_alignment", "--model", "scripted:", "--size", "2", "--set", "embedder=hashing"]


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/x/run.sqlite"),
            StorageError,
            "'/x/run.sqlite': the disk is full",
        ),
        (OSError(errno.EROFS, "Read-only file system", "/x"), StorageError, "the disk is read-only"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "f/run"), StorageError, "is a file and not a folder"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "a" * 300), StorageError, "choose a shorter one"),
        (
            sqlite3.OperationalError("database or disk is full"),
            StorageError,
            "run, train and evaluate continue with --resume",
        ),
        (sqlite3.DatabaseError("database disk image is malformed"), DamagedFile, "is damaged"),
    ],
)
def test_what_the_system_says_is_told_with_the_way_out(error: Exception, kind: type, words: str) -> None:
    told = storage_error(error)
    assert type(told) is kind
    assert words in str(told)


def test_faults_of_the_program_stay_what_they_are() -> None:
    assert storage_error(ValueError("x")) is None
    assert storage_error(sqlite3.OperationalError('near "SELEC": syntax error')) is None
    assert storage_error(OSError("no number")) is None


def command(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SANDBOX, *words], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("out", ["file", "file/run", "a" * 300])
def test_an_out_that_is_no_folder(tmp_path: Path, out: str) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    ended = command(*RUN, "--rounds", "1", "--out", out, cwd=tmp_path)
    assert ended.returncode == 2, ended.stderr
    assert "StorageError: " in ended.stderr
    assert "bug" not in ended.stderr


@pytest.fixture
def copied_run(run_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run_dir, tmp_path / "run"))


def test_a_damaged_record_is_named(copied_run: Path, tmp_path: Path) -> None:
    record = copied_run / "run.sqlite"
    # Pages are kept that a journal beside it holds.
    for beside in copied_run.glob("run.sqlite-*"):
        beside.unlink()
    record.write_bytes(b"SQLite format 3\x00" + bytes(range(256)) * 20)
    with pytest.raises(DamagedFile, match=r"run\.sqlite is damaged"):
        open_run(copied_run)
    ended = command("measure", "run", cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith("DamagedFile: ")


def test_a_folder_without_its_record_is_no_run(copied_run: Path) -> None:
    (copied_run / "run.sqlite").unlink()
    with pytest.raises(RunNotFound, match="it has no run.sqlite"):
        open_run(copied_run)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("rubric", 3, "rubric is a int"), ("settings", [], "settings is a list"), ("notes", "x", "notes is a str")],
)
def test_a_manifest_of_other_types_is_named(copied_run: Path, field: str, value: object, words: str) -> None:
    path = copied_run / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, field: value}), encoding="utf-8")
    with pytest.raises(RunNotFound, match=words):
        open_run(copied_run)


def test_a_manifest_that_is_a_list_is_named(copied_run: Path) -> None:
    (copied_run / "manifest.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(RunNotFound, match="it holds a list, expected an object"):
        open_run(copied_run)


def test_a_run_in_a_folder_that_cannot_be_written_is_read(copied_run: Path) -> None:
    """As root permissions do not hold: the database is opened as where they do."""
    expected = open_run(copied_run).interactions()
    for path in [*copied_run.rglob("*"), copied_run]:
        with suppress(FileNotFoundError):  # SQLite removes its own files when a connection is closed
            path.chmod(0o555)
    try:
        assert open_run(copied_run).interactions() == expected
    finally:
        for path in [copied_run, *copied_run.rglob("*")]:
            with suppress(FileNotFoundError):
                path.chmod(0o755)


def heeds_interrupts() -> None:
    """Ctrl-C reaches a process also where these tests run in the background of a shell, which ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def started(words: list[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, preexec_fn=heeds_interrupts
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_stopped_says_how_to_continue(tmp_path: Path, number: int, code: int) -> None:
    words = [*SANDBOX, *RUN, "--rounds", "100000", "--out", "run"]
    with started(words, tmp_path) as process:
        while not (tmp_path / "run" / "manifest.json").exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(number)
        _, said = process.communicate()
    assert process.returncode == code
    assert "Stopped. What is finished is kept; continue with the same command, its --out and --resume." in said
    assert "Traceback" not in said
    rounds = open_run(tmp_path / "run").rounds + 1
    ended = command(*RUN, "--rounds", str(rounds), "--out", "run", "--resume", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr


def test_a_key_given_as_the_name_of_its_variable_is_refused_and_not_repeated(tmp_path: Path) -> None:
    secret = "sk-live-THISISASECRET123"
    model = ["--model", "openai:m@http://127.0.0.1:9/v1", "--set", f"model.key_env={secret}"]
    ended = command("run", "value_alignment", "--size", "2", *model, "--out", "run", cwd=tmp_path)
    assert ended.returncode == 2
    assert "key_env names an environment variable that is not set" in ended.stderr
    assert secret not in ended.stderr + ended.stdout
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_a_sweep_in_processes_is_stopped_at_once(tmp_path: Path) -> None:
    """A reply takes five minutes; the limit leaves room for a slow machine, two seconds are usual."""
    words = [
        "sweep",
        "value_alignment",
        "--model",
        "scripted:",
        "--set",
        "model.delay_s=300",
        "--set",
        "embedder=hashing",
    ]
    words += ["--size", "2", "--seeds", "2", "--workers", "2", "--out", "sweep"]
    with started([*SANDBOX, *words], tmp_path) as process:
        while not list(tmp_path.glob("sweep/*/manifest.json")) and process.poll() is None:
            time.sleep(0.05)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert time.monotonic() - began < 20
    assert process.returncode == 130
    assert "Stopped. What is finished is kept; continue with the same command." in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE interactions SET before='null'", "the interaction of agent 0 in round 0 is damaged"),
        ("UPDATE interactions SET draft=x'ff'", "the interaction of agent 0 in round 0 is damaged"),
        ("UPDATE feedback SET rating='x'", "the feedback of agent 0 in round 0 is damaged"),
        ("UPDATE agents SET label=x'ff'", "the table of agents of "),
        ("UPDATE agents SET persona='3'", "the table of agents of "),
    ],
)
def test_a_value_of_another_type_in_a_record_is_named(copied_run: Path, change: str, words: str) -> None:
    with sqlite3.connect(copied_run / "run.sqlite") as db:
        db.execute(change)
    db.close()
    run = open_run(copied_run)
    with pytest.raises(DamagedFile, match=words):
        run.agents() if "agents" in change else run.interactions()


def test_names_that_are_not_utf8_are_refused_before_any_work(tmp_path: Path) -> None:
    ended = command(*RUN, "--rounds", "1", "--out", "caf\udce9", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (
        2,
        "SettingsError: 'caf\\udce9' is not UTF-8; rename the file or folder, or correct the argument\n",
    )
    assert list(tmp_path.iterdir()) == []


def test_what_has_an_option_is_no_setting_of_a_run(tmp_path: Path) -> None:
    ended = command(*RUN, "--set", "out=x", "--set", "in_flight=2", "--dry-run", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (
        2,
        "SettingsError: --set out cannot be: use the option --out; --set in_flight cannot be: use the option --in-flight\n",
    )
