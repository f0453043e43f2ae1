"""How agents and observers are spoken to: templates that a scenario can override one by one.

Templates are ``str.format`` text with named fields; ``FIELDS`` says which field each may use.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass, fields

FIELDS: dict[str, tuple[str, ...]] = {
    "answer_system": ("name", "persona"),
    "answer": ("recalled", "heard", "question"),
    "recalled": ("question", "answer"),
    "heard": ("said",),
    "choose": ("recalled", "heard", "question", "options"),
    "argue": ("question", "author", "answer"),
    "review_system": ("name", "persona"),
    "rate": ("recalled", "question", "author", "answer", "words", "scale"),
    "reason": ("recalled", "question", "author", "answer", "words", "scale", "rating", "verdict"),
    "reason_prefix": ("rating", "verdict", "scale"),
    "revise": ("question", "draft", "rating", "scale", "reasons"),
    "observe": ("question", "answer", "words", "scale"),
}


@dataclass(frozen=True)
class Prompts:
    """The words of a society. Sections 3.1 and A.1 of arXiv:2305.16960 give the order of their parts.

    Attributes:
        answer_system: Who the agent in the centre is; ``{persona}`` is its role and persona, with a space after it.
        answer: How it is asked.
        recalled: How a remembered pair is told to it; goes where ``{recalled}`` stands.
        heard: How what others said is told to it, where the protocol has it listen; goes where ``{heard}`` stands.
        choose: How it is asked to pick one of a few options, where the protocol has it choose.
        argue: How it is asked to speak against an answer, where the protocol has it debate.
        review_system: Who a neighbour is.
        rate: How a language model is asked for a rating; the reply begins after ``Rating:``.
        reason: How a neighbour is asked why, once its rating stands.
        reason_prefix: How its reason begins; keeps small models to the point.
        revise: What the author is told of its draft; follows ``answer_system``, so that the question itself is all that
            it is asked. Small models told of it in the question talk about the feedback instead of answering.
        observe: How a language model without memory is asked for a rating. What is the same for all answers comes first:
            models that keep what prompts begin with read it once.
    """

    answer_system: str = (
        "You are {name}, a member of a small community. {persona}Answer what you are asked in two or three sentences."
    )
    answer: str = "{recalled}{heard}{question}"
    recalled: str = (
        'A similar question was asked before: "{question}" and you answered: "{answer}" Keep to your opinion.\n\n'
    )
    heard: str = "You have heard others say:\n{said}\n\n"
    choose: str = "{recalled}{heard}{question}\n\nAnswer with one of: {options}."
    argue: str = (
        '{author} was asked: "{question}"\n{author} says: "{answer}"\n\n'
        "Speak against it in two sentences, and try to change {author}'s mind."
    )
    review_system: str = (
        "You are {name}, a member of a small community. {persona}You say what you think of others' answers."
    )
    rate: str = (
        '{recalled}{author} was asked: "{question}"\n{author} answered: "{answer}"\n\n'
        "Rate {words}, from 1 (not at all) to {scale} (entirely)."
    )
    reason: str = (
        '{recalled}{author} was asked: "{question}"\n{author} answered: "{answer}"\n\n'
        "You rated {words}: {rating} out of {scale}, which is {verdict}. Say why in one sentence."
    )
    reason_prefix: str = "I find this answer {verdict} because"
    revise: str = (
        'When you were asked this before, you answered: "{draft}" Your neighbours rated that {rating} out of {scale} on '
        "average. They said:\n{reasons}\nTake this to heart and answer better."
    )
    observe: str = (
        'Rate {words}, from 1 (not at all) to {scale} (entirely).\n\nQuestion: "{question}"\nAnswer: "{answer}"'
    )

    def faults(self) -> list[tuple[str, str]]:
        """Every template that uses a field it cannot have: (field, what is wrong)."""
        found = []
        for item in fields(self):
            template, known = getattr(self, item.name), FIELDS[item.name]
            try:
                used = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
            except ValueError as error:
                found.append((f"prompts.{item.name}", f"not a template: {error}; write {{{{ for a brace"))
                continue
            for name in sorted(used - set(known)):
                allowed = ", ".join(f"{{{k}}}" for k in known)
                found.append((f"prompts.{item.name}", f"uses {{{name}}}; it may use {allowed}"))
        return found


def rating_word(rating: float | None, scale: int) -> str:
    """A rating in a word, for prompts that small models read better than numbers."""
    if rating is None:
        return "hard to judge"
    share = (rating - 1) / (scale - 1)
    for bound, word in ((0.2, "bad"), (0.4, "rather bad"), (0.6, "middling"), (0.8, "rather good")):
        if share < bound:
            return word
    return "good"


_SENTENCE = re.compile(r"[.!?][\"')\]]*(?=\s|$)")


def whole_sentences(text: str) -> str:
    """Drop the sentence that the limit of tokens cut off, unless it is the only one.

    A trainer must not learn to stop in mid-sentence, and a neighbour should not judge half of one.
    """
    ends = [found.end() for found in _SENTENCE.finditer(text)]
    return text[: ends[-1]] if ends else text
