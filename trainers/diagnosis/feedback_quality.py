"""Quality of a society's feedback: its raters compared with labelled answers.

A rater is right about a pair if it rates the better answer higher, whatever the difference and the level, so that raters are
comparable. 0.5 is chance; agents with a bad upbringing, which genuinely prefer bad answers, are below it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sandbox.conversation.scheduler import run_conversations
from sandbox.metrics.intervals import mean_interval
from sandbox.scenario.loading import load_scenario_of_run
from sandbox.scenario.rubric import Dimension
from sandbox.scenario.scenario import Scenario
from sandbox.scenario.settings import recorded_size
from sandbox.seeding import keyed_rng
from sandbox.society.audience import audience_of
from sandbox.society.reviewer import Reviewer
from sandbox.store.run import Run
from trainers.evaluation.judge_controls import report_card, speakers

if TYPE_CHECKING:
    from datasets import Dataset

    from sandbox.world import World

_CARD_QUESTIONS = 16
# A question, a better answer, and a worse answer.
Pair: TypeAlias = tuple[str, str, str]


def labelled_pairs(dimension: Dimension) -> list[Pair]:
    """Pairs of good and bad answers to each question: the reserved ones, else those that observers learn from."""
    by_question: dict[str, dict[bool, list[str]]] = defaultdict(lambda: {True: [], False: []})
    for example in dimension.reserved or dimension.examples:
        by_question[example.question][example.good].append(example.answer)
    return [(q, good, bad) for q, of in by_question.items() for good in of[True] for bad in of[False]]


def preference_pairs(rows: Dataset) -> list[Pair]:
    """Convert preference rows to pairs; of a conversation, the last user turn is the question."""
    return [
        (row["prompt"][-1]["content"], row["chosen"][-1]["content"], row["rejected"][-1]["content"]) for row in rows
    ]


def rebuild_world(run: Run, scenario: str | Scenario) -> World:
    """Set up the initial society of a run again, in a temporary folder: the same agents, raters and observers.

    Args:
        run: The run.
        scenario: Scenario of the run; by default where the run found it, with the settings of then.

    Raises:
        ModelNotFound: a model of the run no longer exists.
    """
    about = run.manifest
    raters, settings = about["raters"], dict(about["settings"])
    # Values are learnt from labelled answers, without language models.
    silent = {raters["neighbours"], raters["observer"]} == {"values"}
    agents = about["models"]["agents"]
    model: Any = agents.get("dealt", agents["uri"])
    if isinstance(model, dict) and set(model) == {""}:
        model = model[""]
    settings["embedder"] = about["embedder"]
    from sandbox.world import World

    return World(
        load_scenario_of_run(about, scenario), model="scripted:" if silent else model,
        observer=None if silent else about["models"]["observer"]["uri"], rater=raters["neighbours"], size=recorded_size(about),
        population=about["population"], protocol="back_scatter", seed=about.get("birth_seed", about["seed"]), **settings,
    )  # fmt: skip


def feedback_quality(world: World, pairs: Sequence[Pair], *, authors: int = 16) -> dict[str, Any]:
    """Share of pairs whose better answer raters rate higher.

    Args:
        world: The society.
        pairs: Pairs of answers with a known order, from which its raters did not learn.
        authors: Maximum number of agents whose audiences are drawn.

    Returns:
        {mean, low, high, n} each (95%, over questions; a tie counts half): ``one``, a single neighbour; ``mean_of_k``, the
        mean of an audience as the society draws it, with ``k``, its mean size; ``by_label``, a single neighbour of each
        label; ``observer``. Also ``pairs`` and ``unreadable``, the share of ratings that could not be read.
    """
    drawn = keyed_rng(world.seed, "feedback").sample(range(len(world.members)), min(authors, len(world.members)))
    audiences = [_audience(world, author) for author in sorted(drawn)]
    asked = sorted({who for audience in audiences for who in audience})
    better, worse = (_ratings(world, asked, [(pair[0], pair[side]) for pair in pairs]) for side in (1, 2))
    questions = [pair[0] for pair in pairs]
    hits = _hits(better, worse)  # [raters, pairs]
    place = {who: number for number, who in enumerate(asked)}
    together = np.array(
        [_hits(_mean(better, rows), _mean(worse, rows)) for audience in audiences for rows in [[place[w] for w in audience]]]
    ) if audiences else np.full((1, len(pairs)), math.nan)  # fmt: skip
    labels = [world.members[who].label for who in asked]
    observed = [_observed(world, [(pair[0], pair[side]) for pair in pairs]) for side in (1, 2)]
    known = np.isnan(np.stack([better, worse]))
    return {
        "pairs": len(pairs),
        "k": float(np.mean([len(audience) for audience in audiences])) if audiences else 0.0,
        "one": _over_questions(hits, questions),
        "mean_of_k": _over_questions(together, questions),
        "by_label": {
            label: _over_questions(hits[[i for i, of in enumerate(labels) if of == label]], questions)
            for label in sorted(set(labels))
        },
        "observer": _over_questions(_hits(*observed)[None], questions),
        "unreadable": float(known.mean()) if known.size else 0.0,
    }


def _audience(world: World, author: int) -> list[int]:
    found = audience_of(world.members[author], world, keyed_rng(world.seed, "feedback", author))
    return [other.index for other in found]


def _ratings(world: World, raters: Sequence[int], items: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
    """Ratings of answers by each agent. Shape [raters, items]; NaN if unreadable."""
    found = []
    for who in raters:
        agent = world.members[who]
        reader = Reviewer(agent, world.members[(who + 1) % len(world.members)])
        if hasattr(world.rater, "steps"):
            given = run_conversations([world.rater.steps(q, a, rater_of=reader) for q, a in items])
        else:
            given = world.rater.rate(items, rater_of=reader)
        found.append([math.nan if rating.value is None else rating.value for rating in given])
    return np.array(found, dtype=np.float64).reshape(len(raters), len(items))


def _observed(world: World, items: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
    dimension = world.scenario.rubric.dimensions[0].name
    scores = run_conversations([world.observer.score(question, answer) for question, answer in items])
    values = [score.value(dimension) for score in scores]
    return np.array([math.nan if value is None else value for value in values])


def _hits(better: NDArray[np.float64], worse: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 where the better answer is rated above the worse one, 0.5 for a tie; NaN where one is not rated."""
    hits = (np.sign(better - worse) + 1) / 2
    return np.asarray(hits, dtype=np.float64)


def _mean(ratings: NDArray[np.float64], rows: Sequence[int]) -> NDArray[np.float64]:
    """Mean over raters, ignoring NaN; NaN if there is none."""
    some = ratings[list(rows)]
    count = (~np.isnan(some)).sum(axis=0)
    return np.where(count > 0, np.nansum(some, axis=0) / np.maximum(count, 1), math.nan)


def _over_questions(hits: NDArray[np.float64], questions: Sequence[str]) -> dict[str, float]:
    """Mean over questions, each the mean of all its pairs and raters."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in hits:
        for question, hit in zip(questions, row, strict=True):
            if not math.isnan(hit):
                found[question].append(float(hit))
    return mean_interval([float(np.mean(of)) for of in found.values()])._asdict()


def _observer_card(world: World, pairs: Sequence[Pair]) -> dict[str, Any] | None:
    """What the observer, whose ratings label rows for training, makes of controls."""
    labelled = dict.fromkeys((q, answer, good) for q, a, b in pairs for answer, good in ((a, True), (b, False)))
    if len({question for question, _, _ in labelled}) < 2:
        return None
    said = speakers(list(labelled), n_questions=_CARD_QUESTIONS)
    texts = list(dict.fromkeys(text for given in said.values() for text in given))
    ratings = _observed(world, texts)
    rated = {text: None if math.isnan(r) else float(r) for text, r in zip(texts, ratings, strict=True)}
    return report_card({who: [(text, rated[text]) for text in given] for who, given in said.items()})


def quality_of_run(
    run: Run, *, scenario: str | None = None, pairs: str | Path | None = None, limit: int = 60
) -> dict[str, Any]:
    """Feedback quality of a run's society.

    Args:
        run: The run.
        scenario: Scenario of the run; by default where the run found it, with the settings of then.
        pairs: File of preferences; by default the scenario's labelled answers.
        limit: Maximum number of pairs.

    Returns:
        As :func:`feedback_quality`, with ``source`` of the pairs, and ``controls``, the report card of the observer on
        speakers of known worth (:func:`trainers.evaluation.judge_controls.report_card`; None for fewer than two questions);
        only ``source`` and ``pairs`` 0 where there are none.
    """
    from trainers.rows.build import rows_from

    made = load_scenario_of_run(run.manifest, scenario)
    dimension = made.rubric.dimensions[0]
    found = labelled_pairs(dimension) if pairs is None else preference_pairs(rows_from(pairs, "preferences"))
    source = str(pairs) if pairs is not None else f"{made.name}: labelled {dimension.name}"
    if not found:
        return {"source": source, "pairs": 0}
    if len(found) > limit:
        found = keyed_rng(0, "pairs").sample(found, limit)
    world = rebuild_world(run, made)
    try:
        return {"source": source, **feedback_quality(world, found), "controls": _observer_card(world, found)}
    finally:
        world.close()
