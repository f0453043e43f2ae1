"""One self-contained HTML page on all that a folder holds: runs, trained models, evaluations."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from sandbox.errors import RunNotFound
from sandbox.folders import whole_file
from sandbox.records import Interaction
from sandbox.store.run import Run, is_run, open_run
from visualize.drawing.inputs import final_scores, read_evaluation, read_evolution, read_sweep, read_training
from visualize.drawing.saving import image
from visualize.plots import (
    comparison,
    consensus,
    evolution,
    grid,
    measures,
    memory,
    pareto,
    ratings,
    scorecard,
    social_graph,
    sweep,
    training,
)

# Pictures larger than this as vectors are kept as pixels, so that a page stays small enough to send.
_SVG_UP_TO = 150_000
_PAGE_BYTES = 5_000_000
# A folder of more runs, as a sweep's, has them in a table: pictures of all would be a page too large to send.
_RUNS_IN_FULL = 6
_CONVERSATIONS = 4
# Parts of an evaluation that its first picture does not show.
_EXTRAS = {"pressures", "pairs", "choices", "side_effects", "tasks"}
_ANSWERS = 12
# How much of a text is shown, in characters: the first of these with which the page keeps to its size.
_CUTS = (None, 20_000, 4_000, 500)


def write_report(folder: str | Path) -> Path:
    """Write ``report.html`` into a folder and return its path.

    The page needs no network and no scripts, and is under 5 MB. Everything that a model said is escaped, and shown in
    full as long as that fits.

    Args:
        folder: A run, a trained model, an evaluation, a sweep, or a folder that holds such folders, two levels deep at
            most. Of more than six runs each is a line of a table.

    Raises:
        RunNotFound: the folder holds none of them.
    """
    folder = Path(folder)
    paths = list(_find(folder, is_run))
    runs = [_run(path, folder) for path in paths] if len(paths) <= _RUNS_IN_FULL else []
    content: dict[str, Any] = {
        "title": folder.resolve().name,
        "runs": runs,
        "many": [] if runs else [_line(path, folder) for path in paths],
        "models": [_model(path, folder) for path in _find(folder, _holds("training.json"))],
        "evaluations": [_evaluation(path, folder) for path in _find(folder, _holds("evaluation.json"))],
        "sweeps": [_sweep(path, folder) for path in _find(folder, _holds("sweep.json"))],
        "evolutions": [_evolution(path, folder) for path in _find(folder, _holds("evolve.json"))],
    }
    if not any(content[kind] for kind in ("runs", "many", "models", "evaluations", "sweeps", "evolutions")):
        raise RunNotFound(
            f"{folder} holds no run, trained model, evaluation or sweep to report on. Make a run with: sandbox run "
            f"SCENARIO --out {folder}"
        )
    target = folder / "report.html"
    with whole_file(target) as fresh:
        fresh.write_bytes(_fitting(content))
    return target


def _fitting(content: dict[str, Any]) -> bytes:
    """The page, with texts cut as far as its size asks for."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    page = Environment(
        loader=PackageLoader("visualize"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page.filters |= {"number": _number, "plainly": _plainly}
    for cut in _CUTS:
        page.filters["said"] = partial(_said, cut=cut)
        # A lone half of a surrogate pair is no text that a file can hold.
        text = page.get_template("report.html").render(**content).encode("utf-8", errors="replace")
        if len(text) < _PAGE_BYTES:
            break
    return text


def _said(text: str | None, cut: int | None) -> str:
    """What somebody said; a dash for nothing."""
    if text is None:
        return "–"
    if cut is None or len(text) <= cut:
        return text
    return f"{text[:cut]} … ({len(text) - cut} more characters are in the record)"


def _holds(name: str) -> Callable[[Path], bool]:
    return lambda folder: (folder / name).is_file()


def _name(path: Path, folder: Path) -> str:
    """What a part is called: where it is in the folder, or the folder's own name."""
    return folder.resolve().name if path == folder else str(path.relative_to(folder))


def _find(folder: Path, wanted: Callable[[Path], bool]) -> Iterator[Path]:
    for path in (folder, *sorted(folder.glob("*/")), *sorted(folder.glob("*/*/"))):
        if wanted(path):
            yield path


def _picture(caption: str, figure: Figure) -> dict[str, str]:
    """A figure as a data URI: an image cannot run what it holds, whatever its texts say."""
    content, kind = image(figure, "svg"), "svg+xml"
    if len(content) > _SVG_UP_TO:
        content, kind = image(figure, "png", dpi=130), "png"
    return {"caption": caption, "source": f"data:image/{kind};base64,{base64.b64encode(content).decode()}"}


def _run(path: Path, folder: Path) -> dict[str, Any]:
    run = open_run(path)
    interactions = run.interactions()
    done = [it for it in interactions if it.error is None]
    dimension = run.dimensions[0]
    rated = sorted((v, -i) for i, it in enumerate(done) if (v := _final(it, dimension)) is not None)
    picked = [done[-i] for _, i in rated]
    names = {row["agent"]: row["name"] for row in run.agents().to_dict("records")}
    n = min(_CONVERSATIONS, len(picked) // 2)
    return {
        **_line(path, folder),
        "manifest": run.manifest,
        "rounds": run.metrics(),
        "pictures": _run_pictures(run),
        "best": [_conversation(it, run, names) for it in reversed(picked[len(picked) - n :])],
        "worst": [_conversation(it, run, names) for it in picked[:n]],
        "errors": [it for it in interactions if it.error is not None][:_CONVERSATIONS],
    }


def _line(path: Path, folder: Path) -> dict[str, Any]:
    """A run in numbers: means are over all final answers and over all drafts."""
    run = open_run(path)
    frame = run.frame()
    done = frame[frame["error"].isna()]
    return {
        "name": _name(path, folder),
        "seed": run.manifest.get("seed"),
        "interactions": len(frame),
        "failed": len(frame) - len(done),
        "n_rounds": run.rounds,
        "dimensions": run.dimensions,
        "scale": run.scale,
        "means": {d: float(final_scores(done, d).mean()) for d in run.dimensions},
        "drafts": {d: float(done[f"{d}_before"].mean()) for d in run.dimensions},
    }


def _run_pictures(run: Run) -> list[dict[str, str]]:
    first, *others = run.dimensions
    pictures: list[tuple[str, Callable[..., Figure]]] = [
        (f"The society: {first} of each agent's final answer in the last round", grid.draw),
        ("Who reviews whom", social_graph.draw),
        ("Ratings over rounds, before the feedback and after it", ratings.draw),
    ]
    if others:
        pictures.append((f"{first} against {others[0]}".capitalize(), pareto.draw))
    pictures += [
        ("How far reviewers agree, and labels keep apart", consensus.draw),
        ("What agents remember: answers of like words stand near each other", memory.draw),
    ]
    if run.own_measures:
        pictures.insert(0, ("The scenario's own measures", measures.draw))
    return [_picture(caption, draw(run)) for caption, draw in pictures]


def _final(it: Interaction, dimension: str) -> float | None:
    after = it.after.value(dimension)
    return after if after is not None else it.before.value(dimension)


def _conversation(it: Interaction, run: Run, names: dict[Any, str]) -> dict[str, Any]:
    return {
        "round": it.round,
        "author": names.get(it.agent, f"Agent {it.agent + 1}"),
        "label": it.label,
        "question": it.question,
        "recalled": it.recalled,
        "draft": it.draft,
        "revision": it.revision,
        "feedback": [
            {"who": names.get(f.reviewer, f"Agent {f.reviewer + 1}"), "rating": f.rating.value,
             "said": f.rating.reason or f.rating.raw}
            for f in it.feedback
        ],
        "before": {d: it.before.value(d) for d in run.dimensions},
        "after": {d: it.after.value(d) for d in run.dimensions},
    }  # fmt: skip


def _model(path: Path, folder: Path) -> dict[str, Any]:
    found = read_training(path)
    return {"name": _name(path, folder), "training": found, "pictures": [_picture("Training", training.draw(path))]}


def _sweep(path: Path, folder: Path) -> dict[str, Any]:
    found = read_sweep(path)
    caption = "What each setting does to the measures; dots are runs, bars 95% intervals over seeds"
    return {"name": _name(path, folder), "result": found, "pictures": [_picture(caption, sweep.draw(path))]}


def _evolution(path: Path, folder: Path) -> dict[str, Any]:
    found = read_evolution(path)
    caption = "What the society's raters think of each generation, and a judge that it never met"
    return {"name": _name(path, folder), "result": found, "pictures": [_picture(caption, evolution.draw(path))]}


def _evaluation(path: Path, folder: Path) -> dict[str, Any]:
    found = read_evaluation(path)
    by_question: dict[str, dict[str, dict[str, Any]]] = {}
    for answer in found["answers"]:
        by_question.setdefault(answer["question"], {}).setdefault(answer["model"], answer)
    names = [m["name"] for m in found["models"]]
    sides = [{"question": q, "answers": [by_name.get(name) for name in names]} for q, by_name in by_question.items()]
    return {
        "name": _name(path, folder),
        "result": found,
        "names": names,
        "sides": sides[:_ANSWERS],
        "pictures": [
            _picture("Models on questions they never saw", comparison.draw(path)),
            *([_picture("All measures, and what they cost", scorecard.draw(path))] if _EXTRAS & found.keys() else []),
        ],
    }


def _plainly(value: Any) -> str:
    """A setting, or settings within settings, in words."""
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_plainly(one)}" for name, one in value.items())
    return "none" if value is None else str(value)


def _number(value: float | None, form: str = ".2f") -> str:
    return "–" if value is None or value != value else format(value, form)
