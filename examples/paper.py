"""The paper in miniature: societies, training data with and without its parts, trainers, and a test of its claims.

    python examples/paper.py --quick --workers 2 --out quick   # small: runs everything, too little data for conclusions
    python examples/paper.py --power quick              # questions and seeds that would decide each claim, from its spread
    python examples/paper.py --out paper --workers 2      # full: takes hours; resumes if interrupted
    python examples/paper.py --out paper --markdown examples/paper.md --tables   # from the finished parts

Societies of the four population settings are run (`sandbox sweep`), their record becomes training data, and trainers learn
from all of it and from it without each of its parts (`sandbox compare`): the same base, the same budget of tokens. Answers
to held-out questions, asked plainly and under adversarial pressure, are rated by an independent judge. The results are
compared with the four claims of arXiv:2305.16960.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from paper_claims import OURS, TRAINERS, answer_claims
from paper_tables import markdown, power, write_between

from sandbox import run_sweep
from sandbox.folders import finite
from sandbox.parallel import run_jobs
from scenarios.value_alignment import DATA
from trainers import compare, load_trainer, read_rows, rows_from, write_rows

POPULATIONS = ("all_good", "all_bad", "half_half", "mixed_half_half")
MIX = {"imitation": 5.0, "self_critic": 1.0, "realignment": 1.0}
PARTS = tuple(MIX)
STEADY = ("rrhf", OURS)


@dataclass(frozen=True)
class Size:
    """How much is done."""

    side: int = 4  # of a society's grid
    rounds: int = 3
    societies: int = 2  # seeds of each population setting
    seeds: int = 3  # of each training
    tokens: int = 12_000  # of each training
    questions: int = 40  # held-out ones that are asked
    pairs: int = 40  # held-out pairs that accuracy is measured on
    longer: int = 8  # times the tokens, of the trainings whose steadiness is measured
    probes: int = 18  # measurements in each of these, on probe_pairs of the pairs
    probe_pairs: int = 32
    model: str = "smollm2"
    speaker: str = ""  # model of the agents, where another than that which is trained
    dtype: str = "float32"
    embedder: str = "minilm"
    judge: str = "independent"
    max_tokens: int = 48


QUICK = Size(
    side=3,
    rounds=1,
    societies=1,
    seeds=1,
    tokens=3000,
    questions=12,
    pairs=24,
    longer=1,
    probes=6,
    probe_pairs=16,
)


def run_societies(out: Path, size: Size, workers: int) -> list[Path]:
    """The four population settings; returns the folders of their runs."""
    result = run_sweep(
        "value_alignment", grid={"population": POPULATIONS}, seeds=size.societies, rounds=size.rounds,
        out=out / "societies", model=size.speaker or size.model, size=size.side, rater="values", embedder=size.embedder,
        max_tokens=size.max_tokens, reason_tokens=max(6, size.max_tokens // 2),
        workers=workers, on_run=lambda row: say(f"society {row['name']}: {row['status']}"),
    )  # fmt: skip
    return [out / "societies" / row["name"] for row in result["runs"] if row["status"] == "done"]


def make_data(out: Path, runs: list[Path]) -> dict[str, dict[str, int]]:
    """Ranked rows with all parts, and with each left out in turn; returns what is in each file."""
    found = {}
    for left_out in (None, *PARTS):
        path = out / "data" / (f"without-{left_out}.jsonl" if left_out else "all.jsonl")
        if not path.exists():
            parts = [part for part in PARTS if part != left_out]
            rows = rows_from(list(runs), "ranked", parts=parts, mix=[5.0 if p == "imitation" else 1.0 for p in parts])
            if len(rows) == 0:  # no comparison without this part
                say(f"{path.stem}: no rows, so nothing is trained on them")
                found[path.stem] = dict.fromkeys(PARTS, 0)
                continue
            write_rows(rows, path)
        parts = read_rows(path)["part"]
        found[path.stem] = {part: parts.count(part) for part in PARTS}
    return found


def write_pairs(path: Path, n: int) -> Path:
    """The held-out questions' good and bad answers."""
    entries = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
    heldout = [e for e in entries if e["split"] == "heldout"][:n]
    lines = [json.dumps({"prompt": e["question"], "chosen": e["good"], "rejected": e["bad"]}) for e in heldout]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def compare_on(
    out: Path, rows: str, trainers: tuple[str, ...], size: Size, pairs: Path, workers: int
) -> dict[str, Any]:
    """Train on a file of rows, evaluate, and sum up; the base is evaluated only once."""
    folder, known = out / "comparisons" / rows, out / "comparisons" / "all" / "base"
    if known.exists() and not (folder / "base").exists():
        shutil.copytree(known, folder / "base")
    return compare(
        [str(out / "data" / f"{rows}.jsonl")], trainers, out=folder, seeds=size.seeds,
        settings={"dtype": size.dtype}, base=size.model, tokens=size.tokens, judge=size.judge,
        n_questions=size.questions, pairs=str(pairs), n_pairs=size.pairs, embedder=size.embedder,
        max_tokens=size.max_tokens, workers=workers, on_job=lambda name, record: say(f"{rows}: {name} {record['status']}"),
    )  # fmt: skip


@dataclass(frozen=True)
class Watched:
    """A training that is measured on held-out pairs as it goes on."""

    out: Path
    name: str
    seed: int
    steps: int
    size: Size
    pairs: Path

    @property
    def folder(self) -> Path:
        """Where it goes."""
        return self.out / "steadiness" / f"{self.name}-{self.seed}"


def watch(job: Watched) -> None:
    """Train, in this process or in a worker's."""
    trainer = load_trainer(
        job.name, max_steps=job.steps, seed=job.seed, heldout=str(job.pairs), patience=10_000, progress=False,
        eval_steps=max(1, job.steps // job.size.probes), dtype=job.size.dtype, measure_kl=False,
    )  # fmt: skip
    trainer.train(read_rows(job.out / "data" / "all.jsonl"), base=job.size.model, out=job.folder)


def watch_steadiness(
    out: Path, steps: dict[str, int], size: Size, pairs: Path, workers: int
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Accuracy and margin on held-out pairs while two trainers learn: for each trainer and seed, their courses."""
    jobs = [
        Watched(out, name, seed, steps[name] * size.longer, size, pairs)
        for seed in range(size.seeds)
        for name in STEADY
    ]
    missing = [job for job in jobs if not (job.folder / "training.json").exists()]
    for job, _, death in run_jobs(watch, missing, workers=workers):
        if death is not None:
            sys.exit(f"steadiness: {job.name}, seed {job.seed}: {death}")
        say(f"steadiness: {job.name}, seed {job.seed}")
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for job in jobs:
        history = json.loads((job.folder / "training.json").read_text(encoding="utf-8"))["history"]
        probes = [step for step in history if step.get("heldout_margin") is not None]
        courses = {measure: [step[f"heldout_{measure}"] for step in probes] for measure in ("accuracy", "margin")}
        found.setdefault(job.name, {})[str(job.seed)] = courses
    return found


def run_paper(out: Path, size: Size, command: str = "", workers: int = 1) -> dict[str, Any]:
    """Do what is missing and sum everything up: the content of ``paper.json``."""
    out.mkdir(parents=True, exist_ok=True)
    kept = json.loads((out / "paper.json").read_text(encoding="utf-8")) if (out / "paper.json").exists() else {}
    if kept.get("size", asdict(size)) != asdict(size):
        sys.exit(f"{out} holds a paper of another size, {kept['size']}; choose another --out")
    began, before = time.monotonic(), kept.get("seconds", 0.0)
    found = kept
    kept = {"size": asdict(size), "command": command or kept.get("command", ""), "seconds": before}
    times: dict[str, float] = dict(found.get("seconds_of", {}))
    last = began

    def ended(part: str) -> None:
        nonlocal last
        times[part], last = round(times.get(part, 0.0) + time.monotonic() - last, 1), time.monotonic()
        write(seconds_of=times)

    def write(**more: Any) -> dict[str, Any]:
        kept.update(more, seconds=round(before + time.monotonic() - began, 1))
        (out / "paper.json").write_text(json.dumps(finite(kept), indent=1) + "\n", encoding="utf-8")
        return kept

    write()
    runs = run_societies(out, size, workers)
    ended("societies")
    write(data=make_data(out, runs))
    ended("data")
    pairs = write_pairs(out / "pairs.jsonl", size.pairs)
    comparison = compare_on(out, "all", TRAINERS, size, pairs, workers)
    ended("comparison")
    for part in PARTS:
        if not sum(kept["data"][f"without-{part}"].values()):
            continue
        compare_on(out, f"without-{part}", (OURS,), size, pairs, workers)
    ended("ablation")
    steps = {entry["name"]: entry["steps"] for entry in comparison["trainers"]}
    probed = write_pairs(out / "probed.jsonl", size.probe_pairs)
    write(steps=steps, steadiness=watch_steadiness(out, steps, size, probed, workers))
    ended("steadiness")
    return write(claims=answer_claims(out, size.seeds, kept["steadiness"]))


def read_paper(out: Path) -> dict[str, Any]:
    """What is there of a paper so far, finished or not."""
    kept: dict[str, Any] = json.loads((out / "paper.json").read_text(encoding="utf-8"))
    kept.setdefault("steadiness", {})
    return {**kept, "claims": answer_claims(out, kept["size"]["seeds"], kept["steadiness"])}


def say(text: str) -> None:
    """One line of progress, with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def main() -> None:
    """Read the command line, run, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the small form")
    parser.add_argument("--out", type=Path, default=Path("paper"))
    parser.add_argument("--workers", type=int, default=1, help="societies and trainings side by side")
    parser.add_argument("--power", type=Path, metavar="OUT", help="only print the power analysis of a finished form")
    parser.add_argument("--tables", action="store_true", help="only write the tables of what is there so far")
    parser.add_argument("--markdown", type=Path, help="write the results into this document too, between its marks")
    for field in fields(Size):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.power is not None:
        print(power(read_paper(given.power)))
        return
    own = {f.name: value for f in fields(Size) if (value := getattr(given, f.name)) is not None}
    size = replace(QUICK if given.quick else Size(), **own)
    words = [word for name, value in own.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    workers = ["--workers", str(given.workers)] * (given.workers > 1)
    command = shlex.join(["python", "examples/paper.py", *["--quick"] * given.quick, *words, *workers])
    result = read_paper(given.out) if given.tables else run_paper(given.out, size, command, given.workers)
    text = markdown(given.out, result)
    (given.out / "paper.md").write_text(text, encoding="utf-8")
    print(text)
    if given.markdown:
        write_between(given.markdown, text)


if __name__ == "__main__":
    main()
