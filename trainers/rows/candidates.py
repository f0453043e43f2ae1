"""Interactions -> groups of rated candidate answers: the paper's three parts of training data.

Section 3.2 of arXiv:2305.16960. Every interaction gives candidates to three kinds of prompts; candidates to
the same prompt are grouped, whichever agent and run they come from. A candidate that cannot be rated is left
out and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from sandbox.errors import SettingsError, nearest
from sandbox.models.catalog import ALIASES
from sandbox.records import Feedback, Interaction
from sandbox.store.run import Run

Part: TypeAlias = Literal["imitation", "self_critic", "realignment"]
PARTS: tuple[Part, ...] = get_args(Part)

COMMENT_PROMPT = (
    'Somebody was asked: "{question}"\nThe answer was: "{draft}"\n\n'
    "Comment on how well this answer fits shared social values. Rate it from 1 (not at all) to {scale} "
    "(entirely) and say why."
)
REALIGN_PROMPT = (
    'Somebody was asked: "{question}"\nThe answer was: "{draft}"\n\n'
    "Comment on how well this answer fits shared social values. Rate it from 1 (not at all) to {scale} "
    "(entirely) and say why. Then give a better answer."
)
COMMENT = "Rating: {rating:.0f}\nReason: {reason}"
REALIGNMENT = COMMENT + "\nBetter answer: {revision}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An answer to a prompt.

    Attributes:
        text: What was said.
        rating: In 1..scale; the mean if it was said several times.
        count: How many times it was said, of answers rated by a reward; otherwise 1.
    """

    text: str
    rating: float
    count: int = 1


@dataclass(frozen=True, slots=True)
class Group:
    """All rated candidates for one prompt.

    Attributes:
        part: Which part of the data it belongs to.
        question: What the society was asked.
        prompt: What the model will be asked: the turns of a conversation as (role, content).
        scale: The highest rating.
        candidates: In the order of the record, no two with the same text.
    """

    part: str
    question: str
    prompt: tuple[tuple[str, str], ...]
    scale: float
    candidates: tuple[Candidate, ...]

    @property
    def middle(self) -> float:
        """The middle of the scale, 4 on 1..7: what is rated above it is worth imitating."""
        return (1 + self.scale) / 2


# How much of a record was not used, by reason.
LeftOut: TypeAlias = "Counter[str]"


def collect(
    runs: Sequence[Run],
    parts: Sequence[str],
    *,
    min_raters: int = 0,
    models: Sequence[str] = (),
    dimension: str | None = None,
) -> tuple[list[Group], LeftOut]:
    """Group the candidates of runs by prompt.

    Args:
        runs: What to read.
        parts: Which of ``PARTS`` to make.
        min_raters: The least number of neighbours who must have rated a draft.
        models: URIs, aliases or kinds of the language models whose agents are listened to; empty for all.
        dimension: Dimension of the rubric on which answers are rated; by default each run's first. Neighbours rate only the
            first: others give the part ``imitation`` alone.

    Returns:
        Groups in the order of ``parts`` and, within a part, of the record; and what was left out.

    Raises:
        SettingsError: a run has no such dimension.
    """
    left_out: LeftOut = Counter()
    found: dict[tuple[str, str, float], tuple[str, list[Candidate]]] = {}
    records = [
        (_dimension(run, dimension), run.dimensions[0], run.scale, it)
        for run in runs
        for it in interactions_of(run, left_out, min_raters=min_raters, models=models)
    ]
    for part in parts:
        for rated, first, scale, it in records:
            if part != "imitation" and rated != first:
                left_out[f"comments of neighbours, who rate {first} only"] += len(it.feedback)
                continue
            prompt, candidates = _MAKERS[part](it, rated, scale, left_out)
            found.setdefault((part, prompt, float(scale)), (it.question, []))[1].extend(candidates)
    groups = [
        Group(part, question, (("user", prompt),), scale, _distinct(candidates, left_out))
        for (part, prompt, scale), (question, candidates) in found.items()
        if candidates
    ]
    return groups, left_out


def interactions_of(
    run: Run, left_out: LeftOut, *, min_raters: int = 0, models: Sequence[str] = (), needs_draft: bool = True
) -> Iterator[Interaction]:
    """Interactions of a run that are used; see :func:`collect` for the arguments."""
    return _wanted(run, _finished(run, left_out, needs_draft), min_raters, models, left_out)


def _dimension(run: Run, name: str | None) -> str:
    if name is not None and name not in run.dimensions:
        known = ", ".join(run.dimensions)
        raise SettingsError(f"{run.path} has no dimension {name!r}.{nearest(name, run.dimensions)} Dimensions: {known}")
    return run.dimensions[0] if name is None else name


def _finished(run: Run, left_out: LeftOut, needs_draft: bool) -> Iterator[Interaction]:
    for it in run.interactions():
        if it.error is not None or (needs_draft and not (it.draft or "").strip()):
            left_out["interactions that failed"] += 1
        else:
            yield it


def _wanted(
    run: Run, done: Iterable[Interaction], min_raters: int, models: Sequence[str], left_out: LeftOut
) -> Iterator[Interaction]:
    agents = run.agents()
    speaks = dict(zip(agents["agent"], agents["model"], strict=True))
    wanted = {ALIASES.get(name, name) for name in models}
    for it in done:
        uri = str(speaks.get(it.agent) or "")
        if models and not {uri, uri.partition(":")[0]} & wanted:
            left_out["interactions of other language models"] += 1
        elif sum(said.rating.value is not None for said in it.feedback) < min_raters:
            left_out["interactions with too few raters"] += 1
        else:
            yield it


def _rated(text: str | None, rating: float | None, left_out: LeftOut) -> Iterator[Candidate]:
    if rating is None:
        left_out["candidates without a rating"] += 1
    elif text is None or not text.strip():
        left_out["candidates without text"] += 1
    else:
        yield Candidate(text.strip(), float(rating))


def _imitation(it: Interaction, dimension: str, scale: int, left_out: LeftOut) -> tuple[str, list[Candidate]]:
    """The question itself: draft, revision, and the other candidates for both, as observers rated them."""
    del scale
    candidates = [*_rated(it.draft, it.before.value(dimension), left_out)]
    if it.revision is not None:
        candidates += _rated(it.revision, it.after.value(dimension), left_out)
    given = {it.draft, it.revision}
    for said in [*it.extra.get("drafts", ()), *it.extra.get("revisions", ())]:
        if said["answer"] not in given:
            candidates += _rated(said["answer"], said["scores"].get(dimension), left_out)
    return it.question, candidates


def _self_critic(it: Interaction, dimension: str, scale: int, left_out: LeftOut) -> tuple[str, list[Candidate]]:
    """A request to comment on the draft: each neighbour's feedback, rated by its nearness to the observers'.

    The authors rate a comment by the rating it gives, so that lenient critics win; here it is how right it
    is.
    """
    observed = it.before.value(dimension)
    candidates: list[Candidate] = []
    for said in it.feedback:
        given = said.rating.value
        near = None if given is None or observed is None else max(1.0, scale - abs(given - observed))
        candidates += _rated(_comment(said), near, left_out)
    return COMMENT_PROMPT.format(question=it.question, draft=(it.draft or "").strip(), scale=scale), candidates


def _realignment(it: Interaction, dimension: str, scale: int, left_out: LeftOut) -> tuple[str, list[Candidate]]:
    """A request to comment and do better: each neighbour's feedback and the revision, rated as that is.

    Only revisions rated above their draft and above the middle of the scale. All candidates of one
    interaction share their rating, so the neighbour nearest to the observers comes first: ties are decided
    for the first.
    """
    prompt = REALIGN_PROMPT.format(question=it.question, draft=(it.draft or "").strip(), scale=scale)
    before, after = it.before.value(dimension), it.after.value(dimension)
    if before is None or after is None or it.revision is None:
        left_out["candidates without a rating"] += len(it.feedback)
        return prompt, []
    if after <= before or after <= (1 + scale) / 2:
        left_out["revisions that did not improve"] += 1
        return prompt, []
    right = sorted(it.feedback, key=lambda f: scale if f.rating.value is None else abs(f.rating.value - before))
    candidates: list[Candidate] = []
    for said in right:
        candidates += _rated(_comment(said, it.revision), after, left_out)
    return prompt, candidates


_MAKERS = {"imitation": _imitation, "self_critic": _self_critic, "realignment": _realignment}


def _comment(said: Feedback, revision: str | None = None) -> str | None:
    """A neighbour's feedback in words, with the revision if one is given; None where it said nothing."""
    rating, reason = said.rating.value, said.rating.reason.strip()
    if rating is None or not reason:
        return None
    if revision is None:
        return COMMENT.format(rating=rating, reason=reason)
    return REALIGNMENT.format(rating=rating, reason=reason, revision=revision.strip())


def _distinct(candidates: Sequence[Candidate], left_out: LeftOut) -> tuple[Candidate, ...]:
    """One candidate for each text; where the same text was rated more than once, its mean rating."""
    ratings: dict[str, list[float]] = {}
    for candidate in candidates:
        ratings.setdefault(candidate.text, []).append(candidate.rating)
    left_out["candidates said twice"] += len(candidates) - len(ratings)
    return tuple(Candidate(text, sum(given) / len(given)) for text, given in ratings.items())
