"""The fuzz of what asks a recorded run, or continues one: surveys, people's answers, events, futures, data sets by name."""

from __future__ import annotations

import random
import shutil
from functools import partial
from pathlib import Path

import pytest
from fuzz_inputs import any_file, change_file, damaged, difference, shown
from fuzz_shell import JUNK, SCENARIO, SMALL, Shell

from sandbox.testing.tiny import tiny_run

pytestmark = [pytest.mark.slow, pytest.mark.needs_torch]

ASK, FUTURE = "survey tiny --scenario ./two.py", "what-if tiny@1 --event Rain."
COMPARE = "validate s.csv people.csv --resamples 3 --splits 3"
COLUMNS, ANSWERED = "question id kind options low high", "question_id answer respondent weight label"
TELLING = 'def event(world):\n    world.tell("It rained.")\n'
WRITTEN = {
    "two.py": SCENARIO,
    "q.csv": "question\nWhat matters?\n",
    "survey.csv": "id,question,options,low,high\nhours,How many?,,0,10\nvote,Which?,yes|no,,\ntrust,How?,1|2|3,,\nwhy,?,,,",
    "people.csv": "question_id,answer,respondent,weight,label\nhours,3,a,1,good\nvote,yes,a,1,good\ntrust,2,b,0.5,bad\n",
}
OPTIONS = {
    f"{ASK} q.csv": "--at --model --scenario --out --in-flight",
    COMPARE: "--by --out --resamples --splits --seed",
    FUTURE: "--event --event-to --rounds --scenario --seed --out --in-flight",
    f"run ./two.py {SMALL} --dry-run --event Rain.": "--event --event-to --from --population",
    "evaluate hf:./none --judge scripted: --out e": "--tasks",
    "train --base hf:./none": "--config",
}
SETTINGS = {
    f"{ASK} q.csv": "temperature personas questions neighborhood rater memory embedder at",
    FUTURE: "reviewers personas questions neighborhood replicas memory event",
}
SOURCES = ["org/name", "org/name:test", "org/name:", "a/b:c:d", "./org/name", "org/name.csv", "x/../y", "org//name"]
BODIES = [
    "world.tell(3)", "world.tell('x', 9)", "world.tell('x', 'nobody')", "1 / 0", "return 3", "world.stop()",
    "world.members[0].state = 3", "world.tell('\\ud83d')",
]  # fmt: skip
CELLS = ["", "x", "nan", "-1", "1e999", "{}", "[1]", '"', '"{""yes"": 2}"', '"{""maybe"": 1.0}"']


@pytest.fixture
def tiny(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run with a survey, in the folder that the shell is in."""
    # The harness takes half a minute to find its own tasks.
    manager = pytest.importorskip("lm_eval.tasks").TaskManager
    monkeypatch.setattr("lm_eval.tasks.TaskManager", partial(manager, include_defaults=False))
    for name, text in WRITTEN.items():
        Path(name).write_text(text, encoding="utf-8")
    made = tiny_run("tiny", scenario="./two.py", rater="lm", size=2, rounds=2, prior_memories=0)
    assert shell(*ASK.split(), "survey.csv", "--out", "s.csv") == 0
    assert shell(*COMPARE.split()) == 0
    return made


def test_values_for_recorded_runs(shell: Shell, tiny: Path) -> None:
    draw = random.Random(10)
    for start, names in OPTIONS.items():
        for name in names.split():
            for value in draw.sample(JUNK, 2):
                shell(*start.split(), f"{name}={value}")
    for start, names in SETTINGS.items():
        for name in names.split():
            for value in draw.sample(JUNK, 2):
                shell(*start.split(), "--set", f"{name}={value}")
    for start in ("survey", ASK, "validate", "validate s.csv", "what-if --event Rain.", "new memory"):
        for value in draw.sample([*JUNK, *SOURCES, "tiny", "tiny@0", "tiny@9", "s.csv", "two"], 2):
            shell(*start.split(), "--", value, *(["q.csv"] if start in ("survey", "validate") else []))
    starts = [ASK, "validate s.csv", "dataset --kind preferences --out o.jsonl", "evaluate hf:./none --out e --pairs"]
    for start in (*starts, "train --base hf:./none --trainer dpo --out m", f"run ./two.py {SMALL} --dry-run --set"):
        for name in draw.sample(SOURCES, 2):
            shell(*start.split(), f"questions={name}" if start.endswith("--set") else name)
    shell.end(100)


def test_files_for_recorded_runs(shell: Shell, tiny: Path) -> None:
    """Questions, people's answers, personas, networks and events."""
    draw = random.Random(11)
    for number in range(12):
        for start, columns in ((ASK, COLUMNS), ("validate s.csv --by label --resamples 3 --splits 3", ANSWERED)):
            path = any_file(draw, f"{start.split()[0]}{number}", columns, "jsonl json csv tsv parquet")
            shell(*start.split(), path, "--out", f"o{number}.jsonl", about=shown(path))
        people, of = (
            any_file(draw, f"folk{number}", "name label age"),
            draw.choice(["personas", "questions", "neighborhood"]),
        )
        shell(*FUTURE.split(), "--out", "w", "--set", f"{of}={people}", about=shown(people))
        text = f"def event({draw.choice(['world', '', 'a, b'])}):\n    {draw.choice(BODIES)}\n"
        text = draw.choice([text, text, text, "event = 3\n", TELLING])
        Path("event.py").write_bytes(damaged(draw, text.encode()) if draw.random() < 0.2 else text.encode())
        run = f"run ./two.py {SMALL} --rounds 2 --from tiny@1 --event event.py --out b{number}"
        shell(*(run if number % 2 else f"what-if tiny@1 --event event.py --out w{number}").split(), about=text)
    shell.end(48)


def test_damaged_surveys_and_futures(shell: Shell, tiny: Path) -> None:
    draw = random.Random(12)
    assert shell(*FUTURE.split(), "--out", "whole") == 0
    commands = ["survey run --scenario ./two.py survey.csv --at 0,last --out a", "what-if run@1 --event Rain. --out a"]
    futures = ["with/run.sqlite", "without/run.sqlite", "with/manifest.json", "what_if.json"]
    lines = Path("s.csv").read_text(encoding="utf-8").splitlines()
    for number in range(8):
        is_run = number % 4 != 0
        shutil.rmtree("run", ignore_errors=True)
        shutil.copytree("tiny" if is_run else "whole", "run")
        path = Path("run") / draw.choice(["run.sqlite", "manifest.json"] if is_run else futures)
        before = path.read_bytes()
        change_file(draw, path)
        command = f"{draw.choice(commands)}{number}" if is_run else f"{FUTURE} --out run"
        command += ".csv" if command.startswith("survey") else ""
        shell(*command.split(), about=f"{path}: {difference(before, path.read_bytes())}")
    for _ in range(30):
        cells = [line.split(",") for line in lines]
        row = draw.choice(cells)
        row[draw.randrange(len(row))] = draw.choice(CELLS)
        Path("s.csv").write_text("\n".join(map(",".join, cells)), encoding="utf-8")
        shell(*COMPARE.split(), about=",".join(row))
    shell.end(39)
