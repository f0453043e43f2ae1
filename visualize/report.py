"""A self-contained HTML report on the contents of a folder: runs, trained models, evaluations and others."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from sandbox.errors import DamagedFile, RunNotFound, SettingsError
from sandbox.folders import whole_file
from sandbox.records import Interaction
from sandbox.storage_errors import read_as_written
from sandbox.store.call_index import CallIndex
from sandbox.store.run import Run, is_run, open_run
from visualize.drawing.agent_values import find_by, shown_labels
from visualize.drawing.inputs import Source, final_scores, read_result
from visualize.drawing.saving import image
from visualize.page.conversations import show_conversation
from visualize.page.key_figures import key_figures
from visualize.page.player import PLAYER_AGENTS, map_frames
from visualize.page.record_search import pack_conversations, pick_evenly
from visualize.page.text_filters import shorten, show_number, show_plainly
from visualize.page.what_if_summary import summarize_what_if
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
    what_if,
)
from visualize.plots.selection import left_out, select_plots

# Figures larger than this as SVG are embedded as PNG, to keep the page small.
_SVG_UP_TO = 150_000
_PAGE_BYTES = 5_000_000
# Wider figures take the whole width of the page.
_WIDE_IN = 5.5
# More runs than this, for example of a sweep, are listed in a table without figures, to keep the page small.
_RUNS_IN_FULL = 6
_CONVERSATIONS = 4
# Parts of an evaluation that its first figure does not show.
_EXTRAS = {"pressures", "pairs", "choices", "side_effects", "tasks"}
_ANSWERS = 12
# Conversations beside the best and the worst, of each run, at most and on a page that has to be smaller; and room for the texts
# of all, to be searched.
_OTHERS, _FEWEST, _RECORD_BYTES = 200, 20, 2_600_000


class _Cut(NamedTuple):
    """What fits: length of texts in characters, numbers of prompts and of other conversations, dark theme, search of all."""

    text: int | None
    prompts: int
    others: int
    with_dark: bool
    with_record: bool = False


# The first with which the page keeps its size is used.
_CUTS = (
    _Cut(None, 1_000, _OTHERS, True, True), _Cut(None, 200, 50, True, True), _Cut(20_000, 200, _FEWEST, True, True),
    _Cut(4_000, 50, _FEWEST, False, True), _Cut(500, 0, 0, False),
)  # fmt: skip


def write_report(folder: str | Path, *, by: str = "rating") -> Path:
    """Write ``report.html`` into a folder and return its path.

    The page needs no network and is under 5 MB. Its one script, which steps through the map and searches conversations, is
    named by its hash in the page's policy, so that no other can run. Texts of models are escaped, and shown in full if they
    fit. The requests and replies behind conversations are shown as far as they fit; the page says how many are left out.

    Args:
        folder: A run, a trained model, an evaluation, a sweep, or a folder that contains such folders, at most two levels
            deep. More than six runs are listed in a table.
        by: Colour of agents on maps and graphs, as of :func:`visualize.plots.grid.draw`; in a folder of several runs, those
            that have it.

    Raises:
        RunNotFound: the folder contains none of them.
        SettingsError: no run has values for ``by``.
    """
    folder = Path(folder)
    paths = list(_find(folder, is_run))
    runs = (
        _results(
            partial(_run, by=_check_by(by, paths), record_bytes=_RECORD_BYTES // max(1, len(paths))),
            folder,
            "run.sqlite",
            paths,
        )
        if len(paths) <= _RUNS_IN_FULL
        else []
    )
    content: dict[str, Any] = {
        "title": folder.resolve().name,
        "runs": runs,
        "many": [] if runs else _results(_line, folder, "run.sqlite", paths),
        "models": _results(
            _model,
            folder,
            "training.json",
            [p for p in _find(folder, _holds("training.json")) if not _is_upbringing(p)],
        ),
        "evaluations": _results(_evaluation, folder, "evaluation.json"),
        "sweeps": _results(_sweep, folder, "sweep.json"),
        "evolutions": _results(_evolution, folder, "evolve.json"),
        "what_ifs": _results(_what_if, folder, "what_if.json"),
    }
    if not any(found for kind, found in content.items() if kind != "title"):
        raise RunNotFound(
            f"{folder} contains no run, trained model, evaluation or sweep to report on. Make a run with: sandbox run "
            f"SCENARIO --out {folder}"
        )
    target = folder / "report.html"
    from jinja2 import UndefinedError

    try:
        with read_as_written(f"a result in {folder}"):
            page = _fitting(content)
    except UndefinedError as error:
        raise DamagedFile(f"a result in {folder} is damaged, or was not written by this program ({error})") from error
    with whole_file(target) as fresh:
        fresh.write_bytes(page)
    return target


def _check_by(by: str, paths: Sequence[Path]) -> dict[Path, str]:
    """What colours the agents of each run: ``by``, or the default in those that have no such values."""
    found: dict[Path, str] = {}
    for path in paths if by != "rating" else ():
        try:
            found[path] = find_by(by, open_run(path))
        except SettingsError:
            if len(paths) == 1 or (path == paths[-1] and not found):
                raise
    return found


def _results(
    describe: Callable[[Path, Path], dict[str, Any]], folder: Path, file: str, paths: Iterable[Path] | None = None
) -> list[dict[str, Any]]:
    found = []
    for path in _find(folder, _holds(file)) if paths is None else paths:
        with read_as_written(str(path / file)):
            found.append(describe(path, folder))
    return found


def _fitting(content: dict[str, Any]) -> bytes:
    """Render the page, with texts shortened to keep its maximum size."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    page = Environment(
        loader=PackageLoader("visualize"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page.filters |= {"number": show_number, "plainly": show_plainly, "evenly": pick_evenly}
    n_prompts = _number_prompts(content["runs"])
    script = files("visualize").joinpath("templates/report.js").read_text(encoding="utf-8")
    fixed = {
        "n_prompts": n_prompts,
        "script": Markup(script),  # of this package
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    for cut in _CUTS:
        page.filters["said"] = partial(shorten, cut=cut.text)
        most = {"most_prompts": min(cut.prompts, n_prompts), "most_others": cut.others}
        shown = {**content, **fixed, **most, "with_dark": cut.with_dark, "with_record": cut.with_record}
        # A lone surrogate cannot be stored in a file.
        text = page.get_template("report.html").render(**shown).encode("utf-8", errors="replace")
        if len(text) < _PAGE_BYTES:
            break
    return text


def _number_prompts(runs: Iterable[dict[str, Any]]) -> int:
    """Number the calls of all conversations, in the order of the page, and return how many there are."""
    number = 0
    for call in (
        call
        for run in runs
        for conversation in (*run["best"], *run["worst"], *run["some"])
        for calls in conversation["calls"].values()
        for call in calls
    ):
        call["number"] = number
        number += 1
    return number


def _holds(name: str) -> Callable[[Path], bool]:
    return lambda folder: (folder / name).is_file()


def _name(path: Path, folder: Path) -> str:
    """Name of a part: its path in the folder, or the name of the folder itself."""
    return folder.resolve().name if path == folder else str(path.relative_to(folder))


def _find(folder: Path, wanted: Callable[[Path], bool]) -> Iterator[Path]:
    for path in (folder, *sorted(folder.glob("*/")), *sorted(folder.glob("*/*/"))):
        if wanted(path):
            yield path


def _is_upbringing(path: Path) -> bool:
    """Whether a trained model is an adapter of a run's upbringing, which is a part of the run and named by its key figures."""
    return path.parent.name == "upbringing" and is_run(path.parent.parent)


def _picture(caption: str, draw: Callable[..., Figure], source: Source, **settings: Any) -> dict[str, Any]:
    """A figure as data URIs, of both themes; scripts in an image cannot run."""
    light, dark = (draw(source, theme=theme, **settings) for theme in ("light", "dark"))
    is_wide = light.get_figwidth() > _WIDE_IN
    return {"caption": caption, "source": _data_uri(light), "dark": _data_uri(dark), "is_wide": is_wide}


def _data_uri(figure: Figure) -> str:
    content, kind = image(figure, "svg"), "svg+xml"
    if len(content) > _SVG_UP_TO:
        content, kind = image(figure, "png", dpi=130), "png"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _run(path: Path, folder: Path, *, by: Mapping[Path, str], record_bytes: int) -> dict[str, Any]:
    run = open_run(path)
    interactions = run.interactions()
    done = [it for it in interactions if it.error is None]
    dimension, rounds = run.dimensions[0], run.metrics()
    rated = sorted((v, -i) for i, it in enumerate(done) if (v := _final(it, dimension)) is not None)
    picked = [done[-i] for _, i in rated]
    names = {row["agent"]: row["name"] for row in run.agents().to_dict("records")}
    means = shown_labels(run, run.agents()["label"]).nunique() > 1
    n, index = min(_CONVERSATIONS, len(picked) // 2), CallIndex(run)
    some = [] if picked else pick_evenly(done, 2 * _CONVERSATIONS)
    shown = {(it.round, it.agent) for it in (*picked[len(picked) - n :], *picked[:n], *some)}
    # A run without interactions says what it would be rated by.
    has_reviews = not done or any(f.kind != "said" for it in done for f in it.feedback)
    rest = [it for it in done if (it.round, it.agent) not in shown]
    others = [
        {**show_conversation(it, run, names, None), "label": it.label if means else ""}
        for it in pick_evenly(rest, _OTHERS)
    ]
    pictures, notes = _run_pictures(run, by.get(path, "rating"))
    return {
        **_line(path, folder),
        "path": str(path),
        "manifest": run.manifest,
        "rounds": rounds,
        "rated": [
            d for d in run.dimensions if any(m.get(key) is not None for m in rounds for key in (d, f"{d}_draft"))
        ],
        "own": {name: measures.axis_of(run, name)["unit"] for name in run.own_measures},
        "pictures": pictures,
        "notes": notes,
        "is_rated": bool(rated),
        "key_figures": key_figures(
            run,
            len(interactions),
            len(interactions) - len(done),
            has_reviews=has_reviews,
            has_scores=not done or any(it.before.ratings or it.after.ratings for it in done),
        ),
        "others": others,
        "n_others": len(rest),
        "record": pack_conversations(rest, run, names, room=record_bytes, has_labels=means)
        if len(rest) > _FEWEST
        else None,
        "best": [show_conversation(it, run, names, index) for it in reversed(picked[len(picked) - n :])],
        "worst": [show_conversation(it, run, names, index) for it in picked[:n]],
        "some": [show_conversation(it, run, names, index) for it in some],
        "errors": [it for it in interactions if it.error is not None][:_CONVERSATIONS],
    }


def _line(path: Path, folder: Path) -> dict[str, Any]:
    """The numbers of a run, with means over all final answers and all drafts."""
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


def _run_pictures(run: Run, by: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The pictures of a run, and what is to be said of those that are left out, or show a part."""
    first, *others = run.dimensions
    chosen = select_plots(run)
    by_state = bool(chosen["ratings"]) and not run.states().empty
    society = "The society by its agents' state" if by_state else f"The society: {first} of each agent's final answer"
    if by != "rating":
        society = f"The society by {by.partition('.')[2] or by}"
    pictures: dict[str, tuple[str, Callable[..., Figure]]] = {
        "measures": (_measures_caption(run), measures.draw),
        "grid": (f"{society} in the last round", partial(grid.draw, by=by)),
        "social_graph": ("Who reviews whom", partial(social_graph.draw, by=by)),
        "ratings": ("Ratings over rounds, before the feedback and after it", ratings.draw),
        "pareto": (f"{first} against {others[0]}".capitalize() if others else "", pareto.draw),
        "consensus": ("Agreement of reviewers, and distance between labels", consensus.draw),
        "memory": ("Memories of agents: answers with similar words are near each other", memory.draw),
    }
    shown = [name for name, reason in chosen.items() if not reason and (others or name != "pareto")]
    frames = map_frames(run, by) if "grid" in shown else None
    player = {"caption": f"{society}, round by round", "map": frames}
    notes = []
    if empty := left_out(chosen):
        notes.append(f"Pictures that would be empty are left out: {empty}")
    if frames and len(frames["frames"]) < run.rounds:
        notes.append(f"The map is shown for {len(frames['frames']):,} of {run.rounds:,} rounds, evenly spaced")
    if (n := len(run.agents())) > PLAYER_AGENTS and run.rounds > 1:
        notes.append(f"Only the last round is shown, as {n:,} agents are too many to step through the rounds here")
    return [player if name == "grid" and frames else _picture(*pictures[name], run) for name in shown], notes


def _measures_caption(run: Run) -> str:
    """What each measure of the scenario's own is; axes show units in its place."""
    words = "; ".join(f"{name}: {words.rstrip('.')}" for name, words in run.own_measures.items() if words)
    return f"The scenario's own measures. {words}" if words else "The scenario's own measures"


def _final(it: Interaction, dimension: str) -> float | None:
    after = it.after.value(dimension)
    return after if after is not None else it.before.value(dimension)


def _model(path: Path, folder: Path) -> dict[str, Any]:
    found = read_result(path, "training")
    return {"name": _name(path, folder), "training": found, "pictures": [_picture("Training", training.draw, path)]}


def _sweep(path: Path, folder: Path) -> dict[str, Any]:
    found = read_result(path, "sweep")
    caption = "Effect of each setting on the measures; dots are runs, bars 95% intervals over seeds"
    return {"name": _name(path, folder), "result": found, "pictures": [_picture(caption, sweep.draw, path)]}


def _evolution(path: Path, folder: Path) -> dict[str, Any]:
    found = read_result(path, "evolution")
    caption = "Scores of each generation by the society's raters and by an independent judge"
    return {"name": _name(path, folder), "result": found, "pictures": [_picture(caption, evolution.draw, path)]}


def _what_if(path: Path, folder: Path) -> dict[str, Any]:
    caption = "Both futures over the rounds, without the event and with it"
    return {"name": _name(path, folder), **summarize_what_if(path), "pictures": [_picture(caption, what_if.draw, path)]}


def _evaluation(path: Path, folder: Path) -> dict[str, Any]:
    found = read_result(path, "evaluation")
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
            _picture("Models on held-out questions", comparison.draw, path),
            *(
                [_picture("All measures, including side effects", scorecard.draw, path)]
                if _EXTRAS & found.keys()
                else []
            ),
        ],
    }
