"""Whatever is given to a command, it ends with exit code 0 or 2 and a clear line, never with a traceback or as a bug.

More than a thousand inputs are drawn from a seed: values of options and settings, files of every kind, damaged folders. Exit
code 1 is that of commands of which everything failed.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from pathlib import Path

import pytest
from fuzz_inputs import any_file, any_value, change_file, changed, damaged, difference, shown
from fuzz_shell import JUNK, SMALL, Shell

from sandbox.testing.tiny import tiny_run

pytestmark = [pytest.mark.slow, pytest.mark.needs_torch]


# Options by command; what stands before them is valid, so that one thing is wrong at a time.
OPTIONS = {
    f"run ./two.py {SMALL} --dry-run": (
        "--model --observer --rater --size --population --upbringing --protocol --neighborhood --hears --radius --seed --from "
        "--in-flight --max-calls --max-tokens --max-cost --replicas --engine"
    ),
    "sweep ./two.py --model nope --rounds 1 --seeds 1": (
        "--grid --seeds --rounds --model --observer --rater --size --population --workers"
    ),
    "evaluate hf:./none --judge scripted: --out e": (
        "--questions --pairs --reference --choices --limit --scenario --judge --samples --seed --seeds --max-cost"
    ),
    "evolve ./two.py --base hf:./none --out v": (
        "--trainer --generations --size --rounds --share --begin --record --judge --questions --n-questions --samples --seed"
    ),
    "compare tiny --base hf:./none --trainers sft --out c": (
        "--trainers --seeds --tokens --steps --pairs --n-pairs --questions --n-questions --scenario --judge --embedder "
        "--samples --workers"
    ),
    "train tiny --base hf:./none --out m": "--trainer --config --base",
    "dataset tiny --out o.jsonl --kind ranked": "--kind --split --seed",
    "show-prompts ./two.py": "--protocol --label",
    "export tiny --out o": "--format",
    "measure tiny --resamples 10": "--by --resamples",
    "plot tiny nothing": "--format",
    "chat scripted: hello": "--run --agent --scenario --system --max-tokens --temperature --seed",
    "doctor tiny --no-quality": "--pairs --scenario",
    "export-model hf:./none --out x": "--dtype --name",
    "models": "--under",
    "push two.py ada/x --dry-run": "--revision --message --license --base",
    "show none": "--against --live --size --port",
}
SETTINGS = {
    f"run ./two.py {SMALL} --dry-run": (
        "audience reviewers dropout neighborhood radius degree torus agents capacity movement active prior_memories "
        "recall_distance recall_share recall_turns candidates keep_draft score_only max_tokens reason_tokens temperature top_p "
        "embedder observer_rater questions model.delay_s model.faults model.in_order agent observer.delay_s size out"
    ),
    "train tiny --base hf:./none --out m --trainer dpo": (
        "epochs max_steps learning_rate batch_size max_length warmup_ratio schedule lora_r quantize dtype device threads seed "
        "logging_steps save_steps keep_checkpoints heldout_share heldout patience eval_steps report_to fsdp fsdp_config args "
        "args.optim beta label_smoothing loss_type"
    ),
    "evaluate scripted:none.jsonl --judge scripted: --out e": "max_tokens temperature top_p embedder max_length dtype names",
    "evolve ./two.py --base hf:./none --out v": "train.epochs dpo.beta stable_alignment.margin sizes reviewers size rater",
    "dataset tiny --kind ranked --out o.jsonl": "mix max_candidates seed min_gap min_raters include exclude models",
    "animate tiny": "by theme seconds",
    "plot tiny grid": "by rounds theme rating",
}


def test_values_of_options(shell: Shell, run_dir: Path) -> None:
    shutil.copytree(run_dir, "tiny")
    draw = random.Random(1)
    for start, names in OPTIONS.items():
        for name in names.split():
            for value in draw.sample(JUNK, 4):
                shell(*start.split(), f"{name}={value}")
    shell.end(280)


def test_values_of_settings(shell: Shell, run_dir: Path) -> None:
    shutil.copytree(run_dir, "tiny")
    draw = random.Random(2)
    for start, names in SETTINGS.items():
        for name in names.split():
            for value in draw.sample(JUNK, 2 if "plot" in start or "animate" in start else 4):
                shell(*start.split(), "--set", f"{name}={value}")
    shell.end(250)


def test_words(shell: Shell, run_dir: Path) -> None:
    """Positional arguments and places to write to."""
    shutil.copytree(run_dir, "tiny")
    draw = random.Random(3)
    starts = ["run", "show-prompts", "report", "measure", "plot", "animate", "doctor", "ls", "new", "chat", "show"]
    starts += [
        "plot tiny",
        "dataset --kind ranked --out o.jsonl",
        "import --out i",
        "new scenario",
        "export-model --out x",
    ]
    for start in starts:
        more = SMALL.split() if start == "run" else ["hi"] if start == "chat" else []
        for value in draw.sample(JUNK, 4):
            shell(*start.split(), *more, "--", value)
    outs = ["two.py", "two.py/x", "x" * 300, "/proc/x", "/dev/null", "/dev/null/x", "\udcff", "a\nb"]
    starts = [f"run ./two.py {SMALL}", "export tiny", "dataset tiny --kind ranked", "import sw", "new scenario mine"]
    starts += ["animate tiny", "train tiny --base hf:./none", "evaluate scripted: --judge scripted: --questions q.txt"]
    for start in starts:
        for out in draw.sample(outs, 4):
            shell(*start.split(), "--out", out)
    shell.end(90)


ROWS = "prompt chosen rejected completion completions ratings scores label messages conversations instruction output system"


def test_rows(shell: Shell) -> None:
    draw = random.Random(4)
    for number in range(150):
        path = any_file(draw, f"rows{number}", ROWS, "jsonl json csv parquet")
        about = shown(path)
        kind = draw.choice(["demonstrations", "preferences", "unpaired", "ranked", "prompts"])
        shell("dataset", path, "--kind", kind, "--out", f"o{number}.jsonl", about=about)
    for number in range(25):
        path = any_file(draw, f"choices{number}", "question choices answer")
        shell(
            "evaluate",
            "hf:./none",
            "--choices",
            path,
            "--out",
            "e",
            about=shown(path),
        )
    shell.end(175)


def test_questions_people_scripts_and_configs(shell: Shell) -> None:
    draw = random.Random(5)
    for number in range(40):
        questions = any_file(draw, f"q{number}", "question text")
        shell(
            "show-prompts",
            "value_alignment",
            "--set",
            f"questions={questions}",
            about=shown(questions),
        )
    for number in range(40):
        people = any_file(draw, f"people{number}", "name label age")
        scenario = Path(f"village{number}.py")
        scenario.write_text(
            'from sandbox import Scenario\nscenario = Scenario("v", ["Is it so?"], population="column:label", '
            f'personas="{people}")\n'
        )
        shell("show-prompts", f"./{scenario}", about=shown(people))
    for number in range(40):
        script = any_file(draw, f"script{number}", "text match error choice_probs", "jsonl json")
        run = f"run ./two.py --rater lm --size 2 --rounds 1 --set embedder=hashing --out s{number} --model scripted:{script}"
        shell(*run.split(), about=shown(script))
    for number in range(30):
        config = Path(f"train{number}.yaml")
        pairs = {draw.choice(["trainer", "base", "rows", "out", "settings", "x"]): any_value(draw) for _ in range(3)}
        config.write_bytes(
            draw.choice(
                [json.dumps({"base": "hf:./none", **pairs}).encode(), damaged(draw, b"trainer: dpo\nrows: [a]\n")]
            )
        )
        shell("train", "--config", str(config), "--base", "hf:./none", about=shown(config))
    shell.end(150)


def test_networks(shell: Shell) -> None:
    draw = random.Random(6)
    nodes = ["0", "1", "2", "3", "4", "a", "é", '"x y"', "-1", "nan", ""]
    for number in range(60):
        kind = draw.choice(["edgelist", "csv", "tsv", "txt", "graphml", "gexf", "gml"])
        path = Path(f"net{number}.{kind}")
        separator = draw.choice([" ", ",", ", ", "\t", ";"])
        lines = [
            separator.join(draw.choices(nodes, k=draw.choice([1, 2, 2, 2, 2, 3]))) for _ in range(draw.randrange(9))
        ]
        if kind in ("graphml", "gexf", "gml"):
            import networkx as nx

            graph = nx.gnp_random_graph(draw.randrange(6), 0.6, seed=number, directed=draw.random() < 0.5)
            {"graphml": nx.write_graphml, "gexf": nx.write_gexf, "gml": nx.write_gml}[kind](graph, path)
            path.write_bytes(damaged(draw, path.read_bytes()) if draw.random() < 0.7 else path.read_bytes())
        else:
            data = "\n".join(["source,target"] * (draw.random() < 0.3) + lines).encode()
            path.write_bytes(damaged(draw, data) if draw.random() < 0.3 else data)
        run = f"run ./two.py {SMALL} --dry-run --set reviewers=1 --neighborhood {path}"
        shell(*run.split(), about=shown(path))
    shell.end(60)


def test_damaged_runs(shell: Shell, tmp_path: Path) -> None:
    draw = random.Random(7)
    whole = tiny_run(tmp_path / "whole", scenario="./two.py", rater="lm", size=2, rounds=2)
    with sqlite3.connect(whole / "run.sqlite") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    commands = [
        "measure run --resamples 10", "export run --format jsonl --out o", "export run --format graphml --out o",
        "export run --format parquet --out o", "dataset run --kind ranked --out o.jsonl",
        "dataset run --kind demonstrations --out o.jsonl", "report run", "plot run ratings --data", "ls runs",
        f"run ./two.py {SMALL} --rounds 3 --out run --resume", f"run ./two.py {SMALL} --from run@1 --out branch",
        "chat scripted: hello --run run --agent 1", "doctor run --no-quality", "show run --against none",
    ]  # fmt: skip
    for _ in range(75):
        shutil.rmtree("run", ignore_errors=True)
        shutil.copytree(whole, "run")
        path = Path("run") / draw.choice(["run.sqlite", "run.sqlite", "manifest.json"])
        before = path.read_bytes()
        change_file(draw, path)
        what = path.name if path.suffix == ".sqlite" else f"{path.name}: {difference(before, path.read_bytes())}"
        shell(*draw.choice(commands).split(), about=what)
    shell.end(75)


def test_damaged_results(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "visualize")
    from by_hand import write_everything

    draw = random.Random(8)
    whole = tmp_path / "whole"
    write_everything(whole)
    files = [path for path in whole.rglob("*.json") if path.name not in ("manifest.json", "measures.json")]
    for number in range(45):
        path = draw.choice(files)
        folder = Path("result")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(path.parent, folder)
        before = path.read_bytes()
        change_file(draw, folder / path.name)
        command = "report result" if number % 3 else "plot result"
        shell(*command.split(), about=f"{path.name}: {difference(before, (folder / path.name).read_bytes())}")
    shell.end(45)


def test_sample_worlds(shell: Shell, run_dir: Path) -> None:
    draw = random.Random(9)
    shell("export", str(run_dir), "--format", "sample_world", "--out", "whole")
    for number in range(60):
        shutil.rmtree("sw", ignore_errors=True)
        shutil.copytree("whole", "sw")
        path = draw.choice(sorted(Path("sw").rglob("*.jsonl")))
        content = json.loads(path.read_text("utf-8"))
        path.write_bytes(
            damaged(draw, path.read_bytes()) if number % 4 == 0 else json.dumps(changed(draw, content)).encode("utf-8")
        )
        shell("import", "sw", "--out", f"imported{number}")
    shell.end(61)
