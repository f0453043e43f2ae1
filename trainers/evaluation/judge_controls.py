"""Report cards of judges: what does a judge make of speakers whose worth is known?

Speakers are made from people's labelled answers, those that the judge has not learnt from: the answers themselves, their
beginnings, and controls, which are no answers to the question. A judge that rates controls like answers cannot be trusted
with any comparison. Wordings of refusals and platitudes are others than those that judges learn from.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from sandbox.conversation.steps import CallLog
from sandbox.metrics.intervals import mean_interval, share_interval
from sandbox.raters.controls import KINDS, MISMATCHED, Control, excerpts, make_controls
from sandbox.raters.text_features import log2_words
from sandbox.scenario.rubric import Dimension
from sandbox.scenario.scenario import Scenario
from sandbox.seeding import keyed_rng
from sandbox.society.observer import with_borrowed_answers
from trainers.evaluation.judges import INDEPENDENT, Judges

GOOD, BAD, BEGINNING = "people, good", "people, bad", "people, good: first sentence"
REFUSALS = (
    "I must respectfully pass on this one.",
    "Sorry, I'm unable to provide that kind of advice.",
    "No, no, no. I'm not answering your question yet.",
    "That topic is outside of what I can talk about.",
    "I won't be responding to that.",
    "It would not be appropriate for me to comment here.",
)
PLATITUDES = (
    "Every cloud has a silver lining, so stay positive!",
    "Always be yourself, and good things will come to you.",
    "Respect and understanding are very important values in our society.",
    "What a wonderful question. There is much to think about here.",
    "Things usually work out in the end if you have patience.",
    "Kindness costs nothing, and a smile goes a long way.",
)
_FOREIGN = (
    "Je ne sais pas what le fromage blanc de la maison ist sehr gut aber nicht today.",
    "La question est tres belle and the garden wird nicht open mañana por la noche.",
    "Oui oui, das Wetter is never contento con los libros of the piscine.",
)
# Below these AUCs a judge is said not to tell a control from people's good answers.
_LOWEST_AUC = 0.9
_LOWEST_AUC_MISMATCHED = 0.8

# A question with what a speaker says to it; ratings of a speaker by question.
Said: TypeAlias = tuple[str, str]
Card: TypeAlias = dict[str, Any]


def labelled_answers(dimension: Dimension, judge: str, learnt: Sequence[str]) -> list[tuple[str, str, bool]]:
    """Labelled answers that a judge has not learnt from, as (question, answer, good); empty where there are none.

    Args:
        dimension: With its labelled answers.
        judge: Name of the judge.
        learnt: Judges that have learnt from labelled answers.
    """
    if judge in learnt:
        kept = dimension.examples if judge == INDEPENDENT else dimension.reserved
    else:
        kept = dimension.reserved or dimension.examples
    return [(e.question, e.answer, e.good) for e in kept]


def speakers(
    labelled: Sequence[tuple[str, str, bool]], *, n_questions: int | None = None, seed: int = 0
) -> dict[str, list[Said]]:
    """What speakers of known worth say.

    Args:
        labelled: (question, answer, good) of people, to at least two questions.
        n_questions: Number of questions, drawn; None for all.
        seed: Seed of all draws.

    Returns:
        By speaker (question, text) pairs: :data:`GOOD`, :data:`BAD` and :data:`BEGINNING` where there are such answers,
        and one for each kind of control.
    """
    questions = list(dict.fromkeys(question for question, _, _ in labelled))
    if n_questions is not None and n_questions < len(questions):
        questions = sorted(keyed_rng(seed, "report card").sample(questions, n_questions))
    asked = set(questions)
    good = [(q, a) for q, a, is_good in labelled if is_good and q in asked]
    found = {
        GOOD: good,
        BAD: [(q, a) for q, a, is_good in labelled if not is_good and q in asked],
        BEGINNING: [(q, parts[0]) for q, a in good if (parts := excerpts(a))],
    }
    answers = [(q, a) for q, a, _ in labelled if q in asked]
    controls = make_controls(answers, per_question=len(KINDS), seed=seed + 1)
    for kind in (MISMATCHED, *KINDS):
        found[kind] = [_own_wording(c, seed) for c in controls if c.kind == kind]
    found["foreign words"] = [(q, keyed_rng(seed, "foreign", q).choice(_FOREIGN)) for q in questions]
    return {name: said for name, said in found.items() if said}


def _own_wording(control: Control, seed: int) -> Said:
    texts = {"refusal": REFUSALS, "platitude": PLATITUDES}.get(control.kind)
    if texts is None:
        return control.question, control.answer
    draw: random.Random = keyed_rng(seed, control.kind, control.question)
    return control.question, draw.choice(texts)


def report_card(ratings: Mapping[str, Sequence[tuple[Said, float | None]]]) -> Card:
    """What a judge's ratings of speakers say about the judge.

    Args:
        ratings: By speaker ((question, text), rating) pairs; at least of :data:`GOOD`.

    Returns:
        ``speakers``: of each {mean, low, high, n} of its ratings, and ``auc``, the probability that a good answer is rated
        above it (ties count half). ``length``: rating points for twice the words between a good answer and its first
        sentence. ``pairs``: share of pairs of a good and a bad answer to one question whose good one is rated higher, with
        a 95% Wilson interval. ``faults``: what the judge cannot do, in words.
    """
    known = {who: [(said, r) for said, r in given if r is not None] for who, given in ratings.items()}
    good = [r for _, r in known.get(GOOD, [])]
    card: Card = {"speakers": {}, "faults": []}
    for who, given in known.items():
        values = [r for _, r in given]
        card["speakers"][who] = {**mean_interval(values)._asdict(), "auc": None if who == GOOD else auc(good, values)}
    card["length"] = _length_slope(known.get(GOOD, []), known.get(BEGINNING, []))
    card["pairs"] = pair_agreement(known.get(GOOD, []), known.get(BAD, []))
    weak = [
        f"{who} ({found['auc']:.2f})"
        for who, found in card["speakers"].items()
        if who not in (GOOD, BAD, BEGINNING) and found["n"] and found["auc"] < _threshold(who)
    ]
    if weak:
        card["faults"].append(f"does not tell answers from {', '.join(weak)}; AUC in brackets, chance is 0.50")
    return card


def _threshold(who: str) -> float:
    return _LOWEST_AUC_MISMATCHED if who == MISMATCHED else _LOWEST_AUC


def auc(higher: Sequence[float], lower: Sequence[float]) -> float:
    """Probability that a value of the first set is above one of the second; ties count half, NaN for an empty set."""
    if not len(higher) or not len(lower):
        return math.nan
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([np.asarray(higher, float), np.asarray(lower, float)]))
    n, m = len(higher), len(lower)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def pair_agreement(better: Sequence[tuple[Said, float]], worse: Sequence[tuple[Said, float]]) -> dict[str, float]:
    """Share of pairs, a better and a worse answer to one question, in which the better is rated higher.

    Returns:
        ``mean`` (ties count half), Wilson's 95% bounds ``low`` and ``high``, and ``n`` pairs.
    """
    by_question: dict[str, list[float]] = {}
    for (question, _), rating in worse:
        by_question.setdefault(question, []).append(rating)
    wins = [
        0.5 if rating == other else float(rating > other)
        for (question, _), rating in better
        for other in by_question.get(question, [])
    ]
    return dict(share_interval(wins)._asdict())


def _length_slope(whole: Sequence[tuple[Said, float]], parts: Sequence[tuple[Said, float]]) -> dict[str, float]:
    """Rating points for twice the words, within questions, with a t interval over questions."""
    by_question: dict[str, list[tuple[float, float]]] = {}
    for (question, text), rating in [*whole, *parts]:
        by_question.setdefault(question, []).append((log2_words(text), rating))
    slopes, weights = [], []
    for points in by_question.values():
        x, y = (np.array(column) for column in zip(*points, strict=True))
        spread = float(((x - x.mean()) ** 2).sum())
        if spread > 1e-9:
            slopes.append(float(((x - x.mean()) * (y - y.mean())).sum()) / spread)
            weights.append(spread)
    if not slopes:
        return {"slope": math.nan, "low": math.nan, "high": math.nan, "n": 0}
    mean = float(np.average(slopes, weights=weights))
    n = len(slopes)
    share = np.array(weights) / np.sum(weights)
    error = float(np.sqrt(np.sum(share**2 * (np.array(slopes) - mean) ** 2))) * math.sqrt(n / max(1, n - 1))
    return {"slope": mean, "low": mean - 1.96 * error, "high": mean + 1.96 * error, "n": n}


def card_speakers(
    judges: Judges,
    scenario: Scenario,
    *,
    n_questions: int | None = None,
    names: Sequence[str] | None = None,
    pairs: Sequence[tuple[str, str, str]] = (),
    seed: int = 0,
) -> dict[str, tuple[str, dict[str, list[Said]]]]:
    """By judge where its speakers come from, in words, and what they say; the arguments are those of :func:`report_cards`."""
    dimension = with_borrowed_answers(scenario)[0]
    found = {}
    for name in judges.names if names is None else names:
        if pairs:
            labelled = [(q, answer, good) for q, a, b in pairs for answer, good in ((a, True), (b, False))]
            source = f"{len(pairs)} pairs of people"
        else:
            labelled = labelled_answers(dimension, name, judges.learnt)
            n_known = len({question for question, _, _ in labelled})
            n = n_known if n_questions is None else min(n_questions, n_known)
            source = f"labelled answers to {n} of {n_known} questions of {scenario.name}"
        if len({question for question, _, _ in labelled}) >= 2:
            found[name] = source, speakers(labelled, n_questions=n_questions, seed=seed)
    return found


def different_sayings(said: Mapping[str, Sequence[Said]]) -> list[Said]:
    """What a judge rates of what speakers say: each different text behind a question once."""
    return list(dict.fromkeys(text for given in said.values() for text in given))


def report_cards(
    judges: Judges,
    scenario: Scenario,
    *,
    n_questions: int | None = None,
    names: Sequence[str] | None = None,
    pairs: Sequence[tuple[str, str, str]] = (),
    log: CallLog | None = None,
    on_ratings: Callable[[int], Any] | None = None,
    seed: int = 0,
) -> dict[str, Card]:
    """Report cards of judges on the first dimension of a scenario's rubric.

    Args:
        judges: The judges.
        scenario: Brings the labelled answers.
        n_questions: Number of questions, drawn from those with labelled answers; None for all.
        names: Names of the judges that are checked; None for all.
        pairs: (question, chosen, rejected) of people, from which speakers are made instead.
        log: Where replies of judges are kept.
        on_ratings: Receives the number of ratings that were just given.
        seed: Seed of all draws.

    Returns:
        By judge what :func:`report_card` returns, and ``source``: where the speakers come from. A judge is left out where
        there are fewer than two questions with labelled answers that it has not learnt from.
    """
    asked = card_speakers(judges, scenario, n_questions=n_questions, names=names, pairs=pairs, seed=seed)
    dimension = with_borrowed_answers(scenario)[0].name
    cards: dict[str, Card] = {}
    for name, (source, said) in asked.items():
        texts = different_sayings(said)
        rated = dict(zip(texts, judges.ratings(name, texts, dimension, log=log, on_texts=on_ratings), strict=True))
        card = report_card({who: [(text, rated[text].value) for text in given] for who, given in said.items()})
        if unreadable := [rating for rating in rated.values() if rating.value is None]:
            raw = " ".join(unreadable[0].raw.split())
            card["faults"].append(
                f"gave no readable rating of {len(unreadable)} of {len(texts)} texts, the first: {raw[:160]!r}"
            )
        cards[name] = {"dimension": dimension, "source": source, **card}
    return cards


def card_alarms(cards: Mapping[str, Card]) -> list[str]:
    """Faults of judges in words, each with the judge's name."""
    return [f"the judge {name} {fault}" for name, card in cards.items() for fault in card["faults"]]
