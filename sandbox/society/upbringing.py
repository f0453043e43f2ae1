"""What agents begin with: answers drawn from the upbringing of their label, and how near questions are to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sandbox.scenario.rubric import Upbringing
from sandbox.scenario.settings import SocietySettings
from sandbox.seeding import keyed_rng


def draw_upbringing(
    source: Sequence[Upbringing], society: SocietySettings, birth_seed: int, agent: int
) -> list[Upbringing]:
    """Draw what an agent begins with: at most ``prior_memories`` of the upbringing of its label."""
    n = min(society.prior_memories, len(source))
    return keyed_rng(birth_seed, "upbringing", agent).sample(list(source), n)


def distance_for_share(
    questions: Sequence[str], memories: Sequence[Sequence[str]], share: float, embedder: Any
) -> float:
    """The distance below which a share of questions has a remembered one.

    Args:
        questions: Questions to answer.
        memories: For each agent, the questions that it remembers.
        share: Share of all pairs of an agent and a question, in [0, 1].
        embedder: Embeds texts as L2-normalised vectors. Shape [texts, dim].

    Returns:
        Cosine distance in [0, 2], rounded up to four digits; 0 where nothing is remembered.
    """
    known = list(dict.fromkeys(question for one in memories for question in one))
    if not known or not questions:
        return 0.0
    similar = embedder.embed(list(questions)) @ embedder.embed(known).T
    column = {question: i for i, question in enumerate(known)}
    nearest = np.sort([1.0 - similar[:, [column[q] for q in one]].max(1) for one in memories if one], axis=None)
    count = round(share * len(nearest))
    return 0.0 if count == 0 else float(np.clip(np.floor(nearest[count - 1] * 1e4 + 1) / 1e4, 0.0, 2.0))
