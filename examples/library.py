"""What the library of scenarios gives on a language model, over seeds: writes scenarios/README.md.

    python examples/library.py --seeds 2 --markdown scenarios/README.md

Every run is kept in --out; a second start goes on where the first was stopped, and with more seeds adds to them. --finished
writes the page of what is finished by now, and runs nothing.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox import Run, World, open_run
from sandbox.metrics.intervals import Interval, mean_interval
from sandbox.models.catalog import load_model
from sandbox.store.run import is_run
from sandbox.sweep.grid import point_name
from scenarios.naming_game import games_to_consensus, lattice
from visualize.drawing.saving import save
from visualize.plots import measures, ratings

SIZE = 3
# For each scenario its rounds, and the settings that are compared.
LIBRARY: dict[str, tuple[int, list[dict[str, Any]]]] = {
    "value_alignment": (2, [{"n_questions": 9}]),
    "adversarial": (2, [{"n_questions": 9}]),
    "rumour": (3, [{"checkers": 0.0}, {"checkers": 0.22}]),
    "norm_emergence": (6, [{"names": 4}]),
    "commons": (5, [{"talk": True}, {"talk": False}]),
    "jury": (2, [{"cases": 2}]),
    "code_of_conduct": (2, [{"scale": 5}]),
}
BASELINE_GAMES = 1000


def main() -> None:
    """Run what is not run yet, and write the page."""
    given = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    given.add_argument("--seeds", type=int, default=2)
    given.add_argument("--model", default="smollm2")
    given.add_argument("--out", type=Path, default=Path("runs/scenarios"))
    given.add_argument("--markdown", type=Path)
    given.add_argument("--figures", type=Path, default=Path("docs/scenarios"), help="Where the pictures go.")
    given.add_argument("--finished", action="store_true", help="Run nothing; tell of the runs that are finished.")
    asked = given.parse_args()
    found = runs(asked.seeds, asked.model, asked.out, finished=asked.finished)
    text = page(found, asked.seeds, asked.model, draw(found, asked.figures))
    if asked.markdown is None:
        print(text)
    else:
        asked.markdown.write_text(text, encoding="utf-8")


Found = Mapping[str, Mapping[str, list[Run]]]


def runs(seeds: int, model: str, out: Path, *, finished: bool = False, **settings: Any) -> Found:
    """All runs by scenario and point, one a seed; those that are missing are run, all of one seed before the next.

    Args:
        seeds: How many.
        model: What agents speak through.
        out: Where runs are kept.
        finished: Leave out those that are missing.
        **settings: Of all worlds.
    """
    found: dict[str, dict[str, list[Run]]] = {}
    lm: Any = None
    for seed in range(seeds):
        for name, (rounds, points) in LIBRARY.items():
            for point in points:
                path = out / name / point_name({**point, "seed": seed})
                if not (is_run(path) and (open_run(path).rounds >= rounds or open_run(path).ended)):
                    if finished:
                        continue
                    lm = lm or load_model(model)
                    world = World(name, model=lm, size=SIZE, seed=seed, out=path, resume=True, **point, **settings)
                    world.run(rounds)
                    world.close()
                    print(f"{path}: {world.round} rounds, {world.store.manifest['seconds']:.0f} s", file=sys.stderr)
                found.setdefault(name, {}).setdefault(point_name(point), []).append(open_run(path))
    return found


def draw(found: Found, folder: Path) -> dict[str, Path]:
    """A picture of each scenario's measures, or of its ratings where it has none, in its first run."""
    pictures = {}
    for name, points in found.items():
        first = next(iter(points.values()))[0]
        picture = measures.draw(first) if len(first.own_measures) > 1 else ratings.draw(first)
        pictures[name] = save(picture, folder / f"{name}.png")
    return pictures


def page(found: Found, seeds: int, model: str, pictures: Mapping[str, Path]) -> str:
    """The whole page, as Markdown."""
    lines = [
        "# The library of scenarios", "",
        "Each is one file of under 120 lines, found by its name (`sandbox run rumour`), and a beginning for one's own. What "
        f"follows was written by `python examples/library.py --seeds {seeds} --markdown scenarios/README.md`: the first "
        f"and the last round of societies of {SIZE}x{SIZE} agents that speak through `{model}`, means over up to {seeds} seeds "
        "with 95% intervals (Student's t over seeds; with so few they are wide, and most differences here are within them). "
        "The bundled model is small: read this as what the measures look like, not as findings about societies.", "",
    ]  # fmt: skip
    for name, points in found.items():
        words = (importlib.import_module(f"scenarios.{name}").__doc__ or "").strip()
        lines += [f"## {name}", "", *words.splitlines(), ""]
        everyone = [run for theirs in points.values() for run in theirs]
        seconds = statistics.median(run.manifest["seconds"] for run in everyone)
        calls = statistics.median(run.manifest["tokens"]["calls"] for run in everyone)
        lines += [f"![measures over rounds](../{pictures[name].as_posix()})", ""]
        lines += table(points)
        lines += [
            "", f"{len(everyone)} runs of up to {LIBRARY[name][0]} rounds; median {calls:.0f} calls and {seconds:.0f} s a run "
            "on two shared cores.", "",
        ]  # fmt: skip
        if name == "norm_emergence":
            lines += [baseline(), ""]
    return "\n".join(lines)


def table(points: Mapping[str, list[Run]]) -> list[str]:
    """Every measure in the first and in the last round, by point."""
    first = next(iter(points.values()))[0]
    rows = ["| setting | seeds | measure | first round | last round |", "|---|---|---|---|---|"]
    for point, theirs in points.items():
        for name in (*first.own_measures, *(n for d in first.dimensions for n in (d, f"{d}_gain"))):
            ends = [in_words([run.metrics()[end].get(name) for run in theirs]) for end in (0, -1)]
            if set(ends) != {"–"}:
                rows.append(f"| `{point}` | {len(theirs)} | {name} | {ends[0]} | {ends[1]} |")
        lived = in_words([float(run.rounds) for run in theirs])
        rows.append(f"| `{point}` | {len(theirs)} | rounds lived | | {lived} |")
    return rows


def in_words(values: list[float | None]) -> str:
    """A mean over seeds with its interval, and of how many seeds where not all say something."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    found: Interval = mean_interval(known)
    words = f"{found.mean:.2f}" + (f" [{found.low:.2f}, {found.high:.2f}]" if len(known) > 1 else "")
    return words if len(known) == len(values) else f"{words} ({len(known)} of {len(values)} seeds)"


def baseline() -> str:
    """The naming game without language on the same grid."""
    games = mean_interval([float(games_to_consensus(lattice(SIZE), seed) or 0) for seed in range(BASELINE_GAMES)])
    rounds = Interval(*(value / SIZE**2 for value in games[:3]), games.n)
    return (
        f"Without language (`scenarios/naming_game.py`, {BASELINE_GAMES} runs on the same grid) consensus takes "
        f"{games.mean:.1f} [{games.low:.1f}, {games.high:.1f}] games, as many as {rounds.mean:.1f} "
        f"[{rounds.low:.1f}, {rounds.high:.1f}] rounds hold."
    )


if __name__ == "__main__":
    main()
