"""What the studies share: units of work that resume, a table of differences with intervals, and a picture."""

from __future__ import annotations

import argparse
import functools
import json
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from marks import put
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sandbox.folders import write_json
from sandbox.parallel import run_jobs
from trainers.comparison.summary import crossed_interval
from visualize.drawing.saving import save
from visualize.drawing.style import DRAFT, PAGE_IN, REVISION, fix_ticks, foreground, use_theme

Found = dict[str, list[float]]


@dataclass(frozen=True)
class Study:
    """A study: where it is kept, with which model, and how much is done."""

    name: str
    out: Path
    model: str
    seeds: int
    size: Mapping[str, Any]
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Unit:
    """One arm of a study with one seed."""

    study: Study
    arm: str
    seed: int

    @property
    def folder(self) -> Path:
        """Where it is kept."""
        return self.study.out / f"{self.arm.replace(' ', '-').replace(',', '')}-{self.seed}"


def arguments(
    parser: argparse.ArgumentParser, name: str, size: dict[str, Any], words: Sequence[str] = ()
) -> tuple[argparse.Namespace, Study]:
    """Read the command line of a study; each number of its size is an option.

    Args:
        parser: With the options of the study itself.
        name: Its name: the folder, the marks in the document and the picture are named after it.
        size: How much is done; what the command line says replaces it.
        words: Options of the study that belong to its identity.
    """
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--workers", type=int, default=1, help="units side by side")
    parser.add_argument("--out", type=Path, default=Path(name))
    parser.add_argument(
        "--markdown", type=Path, help="also write the results into this document, the picture beside it"
    )
    for key, value in size.items():
        parser.add_argument(f"--{key.replace('_', '-')}", type=type(value), default=value)
    given = parser.parse_args()
    size.update({key: getattr(given, key) for key in size})
    chosen = {key: str(getattr(given, key)) for key in words}
    out = given.out.joinpath(*chosen.values())
    study = Study(name, out, given.model, given.seeds, size, chosen)
    check_identity(study)
    return given, study


def check_identity(study: Study) -> None:
    """Record what the folder holds, or exit if it holds something else."""
    kept, ours = study.out / "study.json", {k: v for k, v in asdict(study).items() if k not in ("out", "seeds")}
    if kept.exists():
        theirs = json.loads(kept.read_text(encoding="utf-8"))
        if theirs != json.loads(json.dumps(ours)):
            sys.exit(f"{study.out} holds another study, {theirs}; choose another --out")
        return
    study.out.mkdir(parents=True, exist_ok=True)
    write_json(kept, ours, indent=1)


def do(work: Callable[[Unit], Found], unit: Unit) -> Found:
    """Do a unit, unless it is done already; ``result.json`` also has its seconds."""
    kept = unit.folder / "result.json"
    if kept.exists():
        return dict(json.loads(kept.read_text(encoding="utf-8"))["found"])
    began = time.monotonic()
    found = work(unit)
    if not all(np.isfinite(values).all() for values in found.values()):
        sys.exit(f"{unit.folder}: a society has no measure, for its conversations failed: sandbox doctor {unit.folder}")
    write_json(kept, {"found": found, "seconds": round(time.monotonic() - began, 1)})
    return found


def run_units(study: Study, work: Callable[[Unit], Found], arms: Sequence[str], workers: int) -> dict[str, list[Found]]:
    """Do all units; for each arm what was found with each seed."""
    units = [Unit(study, arm, seed) for seed in range(study.seeds) for arm in arms]
    missing = [unit for unit in units if not (unit.folder / "result.json").exists()]
    for unit, _, death in run_jobs(functools.partial(do, work), missing, workers=workers):
        if death is not None:
            sys.exit(f"{study.name}: {unit.arm}, seed {unit.seed}: {death}")
        print(f"{time.strftime('%H:%M:%S')} {unit.arm}, seed {unit.seed}", flush=True)
    found: dict[str, list[Found]] = {arm: [] for arm in arms}
    for unit in units:
        found[unit.arm].append(do(work, unit))
    return found


def interval(found: Sequence[Found], *names: str) -> dict[str, Any]:
    """Mean over seeds and units with an interval over both; of two names, of their difference."""
    table = np.array([one[names[0]] for one in found])
    if len(names) == 2:
        table = table - np.array([one[names[1]] for one in found])
    return crossed_interval(table)


def told(of: Mapping[str, Any], sign: str = "") -> str:
    """A mean with its interval."""
    low, high = (of["mean"] if np.isnan(of[key]) else of[key] for key in ("low", "high"))
    return f"{of['mean']:{sign}.2f} [{low:{sign}.2f}, {high:{sign}.2f}]"


def difference_table(found: Mapping[str, Sequence[Found]], measure: str) -> str:
    """A measure before and after, and the difference, as a Markdown table; each column is a mean over seeds and units."""
    before, after = f"{measure} before", f"{measure} after"
    lines = [f"| trained on | {before} | after | after − before | each seed |", "|---|---:|---:|---:|---:|"]
    for arm, of in found.items():
        each = ", ".join(f"{np.mean(one[after]) - np.mean(one[before]):+.2f}" for one in of)
        gain = told(interval(of, after, before), "+")
        lines.append(f"| {arm} | {told(interval(of, before))} | {told(interval(of, after))} | {gain} | {each} |")
    return "\n".join(lines)


def draw(found: Mapping[str, Sequence[Found]], axis: Callable[[Axes], None], measure: str) -> Figure:
    """For each arm a measure before and after, with intervals, and a dot for each seed."""
    with use_theme("light"):
        figure = Figure(figsize=(PAGE_IN, 0.9 + 0.62 * len(found)), layout="constrained")
        ax = figure.subplots()
        for row, of in enumerate(found.values()):
            for name, colour, marker, up in (("before", DRAFT, "v", -0.14), ("after", REVISION, "^", 0.14)):
                whole = interval(of, f"{measure} {name}")
                ax.plot([whole["low"], whole["high"]], [row + up] * 2, color=colour, linewidth=1.6)
                ax.plot(whole["mean"], row + up, marker, color=colour, markersize=7, label=name if row == 0 else None)
                seeds = [np.mean(one[f"{measure} {name}"]) for one in of]
                ax.plot(seeds, [row + up] * len(of), ".", color=foreground("light"), markersize=3)
        ax.set_yticks(range(len(found)), list(found))
        ax.set_ylim(len(found) - 0.5, -0.5)
        ax.set_ylabel("trained on")
        ax.grid(axis="x")
        axis(ax)
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        return fix_ticks(figure)


def report(
    study: Study,
    given: argparse.Namespace,
    work: Callable[[Unit], Found],
    arms: Mapping[str, Any],
    measure: str,
    about: str,
    axis: Callable[[Axes, Study], None],
) -> None:
    """Run what is missing of a study with one measure, and write what came out."""
    found = run_units(study, work, list(arms), given.workers)
    figure = draw(found, functools.partial(axis, study=study), measure)
    finish(study, given, difference_table(found, measure), about, figure)


def finish(study: Study, given: argparse.Namespace, tables: str, about: str, figure: Figure) -> None:
    """Print and write the results of a study."""
    mark = "-".join([study.name, *study.words.values()])
    picture = save(figure, study.out / f"{mark}.png")
    text = f"{tables}\n\n{about}{how(study, given)}"
    (study.out / "study.md").write_text(text, encoding="utf-8")
    print(f"{text}\n{picture}")
    publish(given.markdown, mark, text, picture)


def how(study: Study, given: argparse.Namespace) -> str:
    """How the study is repeated, and how long it took."""
    kept = sorted(study.out.glob("*/result.json"))
    minutes = sum(json.loads(path.read_text(encoding="utf-8"))["seconds"] for path in kept) / 60
    words = [f"--{key} {value}" for key, value in study.words.items()]
    command = " ".join(["python", f"examples/{study.name}.py", *words, "--workers", str(given.workers)])
    return (
        f"Model {study.model}, {study.seeds} seeds; 95% intervals over seeds and units. The arms took {minutes:.0f} minutes in "
        f"all, {given.workers} at a time: `{shlex.join(shlex.split(command))}`"
    )


def publish(document: Path | None, mark: str, text: str, picture: Path) -> None:
    """Write the text between the marks of a document, and the picture beside it."""
    if document is None:
        return
    folder = document.parent / document.stem
    folder.mkdir(exist_ok=True)
    (folder / f"{mark}.png").write_bytes(picture.read_bytes())
    put(document, mark, f"![{mark.replace('-', ' ')}]({document.stem}/{mark}.png)\n\n{text}")
