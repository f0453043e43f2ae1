"""Answers and their credits -> groups of candidates: rows from the scenario's own rewards.

Every utterance that an agent made itself in its conversation is an answer to the prompt that was sent for it: texts, the
options that choices came to, and numbers, each behind the beginning that the reply had to have (``Answer:``). Its credit is
that of its turn, see :meth:`sandbox.store.run.Run.credits`. Credits become ratings by an affine map, with their mean at the
middle of the scale and the farthest of them at its end, so that differences keep their proportions.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sandbox.records import Interaction, Utterance
from sandbox.scenario.prompts import whole_sentences
from sandbox.store.rewards import check_reward
from sandbox.store.run import Run
from trainers.rows.candidates import Candidate, Group, LeftOut, interactions_of

SCALE = 7.0
# Part of the data that a group belongs to: how its answers came together.
SAME_PROMPT, SAME_QUESTION = "same_prompt", "same_question"
_NAME = "Agent #"

Prompt: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an agent said to a prompt, and its credit.

    Attributes:
        prompt: Turns as (role, content).
        same: The prompt without the agent's name where that is only its number.
        asked: Where and what was asked: run, round, stage, purpose and question.
        text: What it said.
        credit: The credit of its turn, in the unit of the reward.
    """

    prompt: Prompt
    same: Hashable
    asked: tuple[int, int, str, str, str]
    text: str
    credit: float


@dataclass(frozen=True, slots=True)
class RatingMap:
    """Maps credits to ratings in 1..SCALE: rating = middle + factor * (credit - mean).

    Attributes:
        mean: Mean credit.
        factor: Points of the scale for one unit of the reward; 0 if all credits are equal.
    """

    mean: float
    factor: float

    @classmethod
    def of(cls, credits: Sequence[float]) -> RatingMap:
        """The map of some credits, at least one."""
        mean = math.fsum(credits) / len(credits)
        farthest = max(abs(credit - mean) for credit in credits)
        return cls(mean, (SCALE - 1) / 2 / farthest if farthest > 1e-12 * max(1.0, abs(mean)) else 0.0)

    def rating(self, credit: float) -> float:
        """The rating of a credit."""
        return min(SCALE, max(1.0, (1 + SCALE) / 2 + self.factor * (credit - self.mean)))


def rewarded_answers(
    runs: Sequence[Run], name: str, left_out: LeftOut, *, min_raters: int = 0, models: Sequence[str] = ()
) -> list[Answer]:
    """Answers of the complete rounds of runs, with their credits for a reward, in the order of the record.

    Args:
        runs: What to read.
        name: Name of the reward.
        left_out: Counts what is not used.
        min_raters: See :func:`trainers.rows.candidates.collect`, as for ``models``.
        models: Language models whose agents are used.

    Raises:
        SettingsError: a run has no such reward.
    """
    for run in runs:
        check_reward(run.rewards, name, str(run.path))
    found = []
    for number, run in enumerate(runs):
        credits, names = run.credits(name), _numbered(run)
        for it in interactions_of(run, left_out, min_raters=min_raters, models=models, needs_draft=False):
            credit = credits.get((it.round, it.agent))
            if it.round >= run.rounds:
                left_out["interactions of rounds that are not complete"] += 1
            elif credit is None:
                left_out["interactions without a reward"] += 1
            elif not it.utterances:
                left_out["interactions in which the agent said nothing"] += 1
            else:
                found += _answers(run, number, it, credit, names.get(it.agent, ""), left_out)
    return found


def _numbered(run: Run) -> dict[int, str]:
    """Names of the agents that are only numbers, ``Agent 3``."""
    return {int(agent): f"Agent {agent + 1}" for agent, name in _names(run) if name == f"Agent {agent + 1}"}


def _names(run: Run) -> Iterable[tuple[Any, str]]:
    agents = run.agents()
    return zip(agents["agent"], agents["name"], strict=True)


def _answers(run: Run, number: int, it: Interaction, credit: float, name: str, left_out: LeftOut) -> list[Answer]:
    found = []
    for said in it.utterances:
        request, reply = run.request(said.key), run.call(said.key)
        if request is None or reply is None:
            left_out["utterances without a recorded call"] += 1
            continue
        text = said.text if said.text is not None else _text(reply)
        if _is_not_given(said, text, it):
            left_out["candidates that the agent did not give"] += 1
        elif not text.strip():
            left_out["candidates without text"] += 1
        else:
            prompt = tuple((turn.role, turn.content) for turn in request.messages)
            whole = f"{request.prefix} {text}" if request.prefix else text
            same = tuple((role, re.sub(rf"\b{name}\b", _NAME, words) if name else words) for role, words in prompt)
            asked = (number, it.round, said.stage, said.purpose, said.question)
            found.append(Answer(prompt, same, asked, whole.strip(), credit))
    return found


def _text(reply: dict[str, Any]) -> str:
    return whole_sentences(reply["text"]) if reply.get("finish_reason") == "length" else str(reply["text"])


def _is_not_given(said: Utterance, text: str, it: Interaction) -> bool:
    """Whether it is one of several candidates of which the agent gave another."""
    return (
        "drafts" in it.extra and said.purpose.startswith(("answer ", "revise ")) and text not in (it.draft, it.revision)
    )


def groups_to_compare(answers: Sequence[Answer], ratings: RatingMap, left_out: LeftOut) -> list[Group]:
    """Groups of answers to be compared: to the same prompt, or else to the same question in the same round.

    Prompts that differ only by the number in an agent's name are the same. Where a prompt has no second answer, those to the
    same question in the same round and run are one group, with the prompt of the best of them.
    """
    by_prompt: dict[Hashable, list[Answer]] = {}
    for answer in answers:
        by_prompt.setdefault(answer.same, []).append(answer)
    groups, rest = [], dict[Hashable, list[Answer]]()
    for several in by_prompt.values():
        if len({answer.text for answer in several}) > 1:
            groups.append(_group(SAME_PROMPT, several, ratings, left_out))
        else:
            for answer in several:
                rest.setdefault(answer.asked, []).append(answer)
    return groups + [_group(SAME_QUESTION, several, ratings, left_out) for several in rest.values()]


def groups_by_prompt(answers: Sequence[Answer], ratings: RatingMap, left_out: LeftOut) -> list[Group]:
    """Groups of answers to the same prompt, also those of one answer, for rows in which answers are not compared."""
    by_prompt: dict[Hashable, list[Answer]] = {}
    for answer in answers:
        by_prompt.setdefault(answer.same, []).append(answer)
    return [_group(SAME_PROMPT, several, ratings, left_out) for several in by_prompt.values()]


def _group(part: str, answers: Sequence[Answer], ratings: RatingMap, left_out: LeftOut) -> Group:
    credits: dict[str, list[float]] = {}
    for answer in answers:
        credits.setdefault(answer.text, []).append(answer.credit)
    left_out["candidates said twice"] += len(answers) - len(credits)
    means = {text: math.fsum(given) / len(given) for text, given in credits.items()}
    best = max(means, key=means.__getitem__)
    prompt = next(answer for answer in answers if answer.text == best)
    candidates = tuple(Candidate(text, ratings.rating(mean), len(credits[text])) for text, mean in means.items())
    return Group(part, prompt.asked[-1], prompt.prompt, SCALE, candidates)


def best_share(groups: Sequence[Group], share: float, left_out: LeftOut) -> list[Group]:
    """Groups with the best share of all their answers, one answer each; answers rated like the last of them are kept too.

    Args:
        groups: Groups on one scale.
        share: In (0, 1].
        left_out: Counts what is not kept. If all answers are rated alike, none is.
    """
    ratings = sorted((c.rating for group in groups for c in group.candidates), reverse=True)
    if not ratings:
        return []
    least = ratings[max(1, math.ceil(share * len(ratings) - 1e-9)) - 1]
    is_kept = [[c.rating >= least and c.rating > ratings[-1] for c in group.candidates] for group in groups]
    left_out["answers below the best share"] += Counter(flag for flags in is_kept for flag in flags)[False]
    return [
        Group(group.part, group.question, group.prompt, group.scale, (candidate,))
        for group, flags in zip(groups, is_kept, strict=True)
        for candidate, flag in zip(group.candidates, flags, strict=True)
        if flag
    ]


def reward_groups(
    runs: Sequence[Run], name: str, left_out: LeftOut, *, compare: bool, min_raters: int, models: Sequence[str]
) -> tuple[list[Group], RatingMap, dict[str, Any]]:
    """Groups of answers rated by a reward.

    Args:
        runs: What to read.
        name: Name of the reward.
        left_out: Counts what is not used.
        compare: Whether answers are to be compared: see :func:`groups_to_compare`, else :func:`groups_by_prompt`.
        min_raters: See :func:`trainers.rows.candidates.collect`, as for ``models``.
        models: Language models whose agents are used.

    Returns:
        The groups, the map from credits to ratings, and the credits in numbers: ``name``, ``unit``, ``answers``, ``lowest``,
        ``mean``, ``highest`` and ``points_per_unit`` of ratings.
    """
    answers = rewarded_answers(runs, name, left_out, min_raters=min_raters, models=models)
    if not answers:
        return [], RatingMap(0.0, 0.0), {"name": name, "answers": 0}
    credits = [answer.credit for answer in answers]
    ratings = RatingMap.of(credits)
    about = {"name": name, "unit": runs[0].rewards[name]["unit"], "answers": len(answers), "lowest": min(credits)}
    about |= {"mean": ratings.mean, "highest": max(credits), "points_per_unit": ratings.factor}
    return (groups_to_compare if compare else groups_by_prompt)(answers, ratings, left_out), ratings, about
