"""Records written by hand, and what can be read on a figure."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text

from sandbox.models.base import Message, Reply, Request
from sandbox.records import Feedback, Interaction, Rating, Score
from sandbox.seeding import keyed_seed
from sandbox.store.run import Run, open_run
from sandbox.store.writer import RunWriter
from sandbox.sweep.results import summarize

Scores = tuple[float | None, ...]
DIMENSIONS = ("alignment", "engagement")

# What people and models write: scripts from both sides, marks of markup, of mathematics, of terminals and of tables.
TEXTS = {
    "chinese": "好邻居",
    "arabic": "جار طيب",
    "hindi": "अच्छा पड़ोसी",
    "emoji": "🙂👍🏽",
    "html": "<img src=x onerror=alert(1)>",
    "math": "$math$ $\\frac{1$",
    "control": "a\x1b[31mb\x00c\u2028d",
    "table": 'a,b;"c"\t&amp;%_^#\\',
}


EVIL = TEXTS["html"]
# An evaluation: mean, low and high of each model's answers.
SCORES = {
    "base": {"alignment": (3.0, 2.5, 3.5), "engagement": (4.0, 3.0, 5.0)},
    "trained": {"alignment": (5.0, 4.5, 5.5), "engagement": (3.5, 3.0, 4.0)},
}


def told(
    round_: int,
    agent: int,
    before: Scores = (None, None),
    after: Scores = (None, None),
    reviews: dict[int, float | None] | None = None,
    *,
    label: str = "good",
    dimensions: Sequence[str] = DIMENSIONS,
    question: str = "Is it right?",
    draft: str = "No.",
    revision: str = "Yes, be kind.",
    reason: str = "be kind",
    error: str | None = None,
) -> Interaction:
    """An interaction with the ratings given; all words are the same in every one."""
    if error is not None:
        return Interaction(round_, agent, label, question, error=error)
    said = tuple(Feedback(who, Rating(value, reason=reason)) for who, value in (reviews or {}).items())
    scores = [Score({d: Rating(v) for d, v in zip(dimensions, s, strict=True)}) for s in (before, after)]
    return Interaction(round_, agent, label, question, draft, said, revision, *scores)


def write_json(folder: Path, name: str, content: Any) -> Path:
    """A folder with a JSON file of schema 1 in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps({"schema": 1, **content}, ensure_ascii=False), encoding="utf-8")
    return folder


def words(figure: Figure) -> list[str]:
    """Every text on a figure, axes' ticks included."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.draw_without_rendering()
    return [t.get_text() for t in figure.findobj(Text) if t.get_visible() and t.get_text()]


def legend(figure: Figure) -> list[str]:
    """The names in a figure's legend."""
    return [t.get_text() for one in figure.legends for t in one.get_texts()]


SOCIETY = [
    told(0, 0, (2.0, 5.0), (4.0, 6.0), {1: 3.0, 2: None}),
    told(0, 1, (6.0, 4.0), (None, None), {0: 6.0}),
    told(0, 2, (None, None), (None, None), {3: None}, label="bad"),
    told(0, 3, label="bad", error="CallFailed: no answer"),
    told(1, 0, (3.0, 3.0), (5.0, 2.0), {1: 5.0}),
    told(1, 1, (5.0, 5.0), (7.0, 7.0), {0: 4.0, 3: 2.0}),
    told(1, 2, (1.0, 2.0), (1.5, 1.0), {3: 1.0, 0: 2.0}, label="bad"),
    told(1, 3, (2.0, 2.0), (3.0, None), {2: 7.0}, label="bad"),
]


def write_run(
    folder: Path,
    interactions: Sequence[Interaction] = (),
    *,
    labels: Sequence[str] = ("good", "good", "bad", "bad"),
    names: Sequence[str] | None = None,
    width: int = 2,
    homes: Sequence[tuple[int, int]] | None = None,
    moves: dict[int, list[tuple[int, int, int]]] | None = None,
    dimensions: Sequence[str] = DIMENSIONS,
    scale: int = 7,
    finished: int | None = None,
    metrics: Sequence[dict[str, float | None]] = (),
    embeddings: dict[str, Sequence[float]] | None = None,
    name: str = "run",
    **manifest: Any,
) -> Run:
    """Write a run of interactions: ``write_run(folder, [...], labels=["good", "bad"], finished=1)``.

    There is an agent for each of ``labels``, in rows of ``width``; ``finished`` rounds
    are complete, by default all; ``metrics`` are of each of them.
    """
    rubric = {"dimensions": list(dimensions), "scale": scale}
    writer = RunWriter(folder / name, {"rubric": rubric, **manifest})
    homes = homes or [divmod(i, width) for i in range(len(labels))]
    names = names or [f"Agent {i + 1}" for i in range(len(labels))]
    writer.add_agents((i, names[i], label, *homes[i]) for i, label in enumerate(labels))
    for interaction in interactions:
        writer.commit(interaction)
    rounds = max((it.round for it in interactions), default=-1) + 1 if finished is None else finished
    for round_ in range(rounds):
        count = sum(it.round == round_ for it in interactions)
        memories = [(it.agent, it.question, it.final) for it in interactions if it.round == round_ and it.final]
        measures = {"interactions": count, "failed": 0, **(metrics[round_] if round_ < len(metrics) else {})}
        writer.finish_round(round_, memories, measures, (moves or {}).get(round_, ()))
    writer.add_embeddings((q, np.array(v, np.float32).tobytes()) for q, v in (embeddings or {}).items())
    writer.close()
    return open_run(folder / name)


def write_training(folder: Path, name: str, history: Sequence[dict[str, float]]) -> Path:
    """Write what a training leaves: ``write_training(folder, "first", [{"step": 1, "loss": 2.0}])``."""
    about = {"trainer": "sft", "base": "hf:x", "settings": {"epochs": 1}, "rows": {"rows": 2}, "seconds": 1.5}
    return write_json(folder / name, "training.json", {**about, "history": list(history)})


def write_evaluation(
    folder: Path,
    scores: dict[str, dict[str, tuple[float | None, float | None, float | None]]],
    *,
    name: str = "evaluation",
    answer: str = "Yes.",
    question: str = "Is it right?",
) -> Path:
    """Write what an evaluation leaves, of models with scores ``{name: {dimension: (mean, low, high)}}``.

    The first model is the one that the others are compared to; a difference is the difference of the means, give or
    take a quarter.
    """
    dimensions = list(next(iter(scores.values())))
    first, *others = scores

    def spread(mean: float | None, low: float | None, high: float | None) -> dict[str, Any]:
        return {"mean": mean, "low": low, "high": high, "n": 2}

    def gap(model: str, dimension: str) -> dict[str, Any]:
        ours, theirs = scores[model][dimension][0], scores[first][dimension][0]
        if ours is None or theirs is None:
            return spread(None, None, None)
        return spread(ours - theirs, ours - theirs - 0.25, ours - theirs + 0.25)

    content = {
        "scenario": "value_alignment", "judge": "values", "dimensions": dimensions, "scale": 7, "questions": 2,
        "samples": 1,
        "models": [
            {"name": m, "uri": m, "tokens_mean": 9.5, "scores": {d: spread(*s[d]) for d in dimensions}}
            for m, s in scores.items()
        ],
        "differences": [
            {"model": m, "against": first, "scores": {d: gap(m, d) for d in dimensions}} for m in others
        ],
        "answers": [
            {"question": question, "model": m, "sample": 0, "answer": f"{answer} ({m})", "tokens": 9,
             "scores": {d: s[d][0] for d in dimensions}}
            for m, s in scores.items()
        ],
    }  # fmt: skip
    return write_json(folder / name, "evaluation.json", content)


def write_scores(folder: Path, *, nothing: bool = False) -> Path:
    """Write an evaluation of all measures, in which ``trained`` bought its alignment by refusing everything."""
    path = write_evaluation(folder, SCORES)
    content = json.loads((path / "evaluation.json").read_text(encoding="utf-8"))

    def spread(mean: float, half: float) -> dict[str, float]:
        return {"mean": mean, "low": mean - half, "high": mean + half, "n": 24}

    def costs(name: str, refused: float, words_: float, variety: float, perplexity: float) -> dict[str, Any]:
        shares = {"refused": spread(refused, 0), "empty": spread(0, 0), "echoed": spread(0.1, 0.05)}
        return {
            "name": name,
            **shares,
            "words": spread(words_, 3),
            "distinct_2": variety,
            "perplexity": spread(perplexity, 2),
        }

    content["pressures"] = [
        {"model": m, "all": {"alignment": spread(v, 0.2)}} for m, v in (("base", 0.8), ("trained", 0.1))
    ]
    content["pairs"] = {
        "models": [{"name": m, "accuracy": spread(v, 0.1)} for m, v in (("base", 0.5), ("trained", 0.7))]
    }
    content["side_effects"] = {"models": [costs("base", 0.0, 30, 0.9, 20), costs("trained", 1.0, 8, 0.1, 24)]}
    if nothing:
        content = {"dimensions": [], "models": [], "differences": [], "answers": []}
    return write_json(path, "evaluation.json", content)


def write_evolution(folder: Path, *, done: int = 3) -> Path:
    """Write what an evolution leaves: raters rise, the judge falls, in generation 1 by chance and in 2 surely."""

    def spread(mean: float, half: float = 0.3) -> dict[str, Any]:
        return {"mean": mean, "low": round(mean - half, 9), "high": round(mean + half, 9), "n": 20}

    raters, judge, generations = (4.0, 4.6, 5.2), (4.5, 4.4, 3.9), []
    for n in range(done):
        since = {
            w: {"alignment": spread(round(s[n] - s[0], 9))} for w, s in (("values", raters), ("independent", judge))
        }
        society = {"alignment_draft": spread(3.0 + n / 2), "alignment": spread(3.5 + 0.7 * n)}
        generations.append(
            {
                "generation": n, "model": f"hf:{n}", "trainer": "sft" if n else None, "tokens_mean": 30.0,
                "heldout": {"values": {"alignment": spread(raters[n])}, "independent": {"alignment": spread(judge[n])}},
                "since_first": since if n else None, "since_previous": None, "verdict": (None, "apart", "fooled")[n],
                "society": {"scores": society, "rating": spread(4.0), "interactions": 9, "failed": 0} if n else None,
            }
        )  # fmt: skip
    content = {
        "scenario": "value_alignment", "dimensions": ["alignment"], "scale": 7, "raters": "values", "judge": "independent",
        "base": "hf:0", "command": f"sandbox evolve {EVIL}", "stopped": EVIL, "generations": generations,
    }  # fmt: skip
    return write_json(folder / "evolution", "evolve.json", content)


def write_sweep(
    folder: Path, grid: dict[str, list[Any]], found: dict[tuple[Any, ...], list[float | None]], **more: Any
) -> Path:
    """Write what a sweep leaves, as :mod:`sandbox.sweep.results` sums it up.

    ``write_sweep(folder, {"size": [2, 3]}, {(2,): [4.0, 5.0], (3,): [None]})`` gives alignment for each point and seed; None
    is a run that failed. Engagement is 1 less, the gain a tenth of alignment.
    """
    runs = []
    for values, alignments in found.items():
        point = dict(zip(grid, values, strict=True))
        for seed, alignment in enumerate(alignments):
            scores = {}
            if alignment is not None:
                scores = {"alignment": alignment, "alignment_gain": alignment / 10}
                scores |= {"engagement": alignment - 1, "engagement_gain": 0.0}
            runs.append(
                {"name": f"{values}-{seed}", "point": point, "seed": seed, "scores": scores,
                 "status": "failed" if alignment is None else "done"}
            )  # fmt: skip
    points = [dict(zip(grid, values, strict=True)) for values in found]
    content = {
        "scenario": "value_alignment", "rounds": 1, "seeds": [0, 1], "grid": grid, "settings": {}, "command": "",
        "dimensions": list(DIMENSIONS), "scale": 7, "runs": runs, "points": summarize(points, runs, DIMENSIONS),
        **more,
    }  # fmt: skip
    return write_json(folder / "sweep", "sweep.json", content)


def write_call(run: Path, at: tuple[int, int, str], question: str, reply: str, *, model: str) -> str:
    """Write the call of (round, agent, purpose) into a run of seed 0, with 11 tokens read and 3 written; return its key."""
    messages = (Message("system", f"be {EVIL}"), Message("user", question))
    request = Request(messages, seed=keyed_seed(0, *at))
    said = json.dumps(Reply(reply, prompt_tokens=11, completion_tokens=3).as_dict())
    writer = RunWriter(run, {}, resume=True)
    writer.add_calls([(request.key(), model, "generate", request.content(), said)])
    writer.close()
    return request.key()


def write_everything(folder: Path) -> Path:
    """A folder of a run, a training, an evaluation and a sweep, in each of which a model wrote HTML."""
    said = {"question": f"q {EVIL}", "draft": f"draft {EVIL}", "revision": f"revision {EVIL}", "reason": f"why {EVIL}"}
    interactions = [told(0, i, (2.0, 3.0), (3.0 + i, 4.0), {1 - i: 5.0}, label=EVIL, **said) for i in (0, 1)]  # type: ignore[arg-type]
    interactions.append(told(0, 2, error=f"CallFailed: {EVIL}", question=EVIL))
    write_run(
        folder, interactions, labels=[EVIL, "b", "b"], names=[EVIL, "B", "C"], notes=[EVIL],
        command=f"sandbox run {EVIL}", scenario=EVIL, settings={EVIL: EVIL}, seed=0,
    )  # fmt: skip
    write_call(folder / "run", (0, 1, "answer 0"), f"q {EVIL}", f"draft {EVIL}", model=f"model {EVIL}")
    write_training(folder, "model", [{"step": 1, "loss": 2.0}])
    write_evaluation(folder, {EVIL: SCORES["base"], "trained": SCORES["trained"]}, answer=EVIL, question=EVIL)
    write_sweep(folder, {"model": [EVIL, "b"]}, {(EVIL,): [2.0], ("b",): [3.0]}, command=EVIL)
    write_evolution(folder)
    return folder
