"""Prompt templates of agents and observers; a scenario can override each of them.

Templates are ``str.format`` text with named fields; ``FIELDS`` lists the fields that each may use.
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
    "remembered": ("items",),
    "remembered_answer": ("question", "answer"),
    "remembered_heard": ("speaker", "text"),
    "summarise": ("summary", "items"),
    "told": ("told",),
    "choose": ("recalled", "heard", "question", "options"),
    "number": ("recalled", "heard", "question", "low", "high"),
    "structured": ("recalled", "heard", "question", "schema"),
    "unreadable": ("fault",),
    "argue": ("question", "author", "answer"),
    "review_system": ("name", "persona"),
    "rate": ("recalled", "question", "author", "answer", "words", "scale"),
    "reason": ("recalled", "question", "author", "answer", "words", "scale", "rating", "verdict"),
    "reason_prefix": ("rating", "verdict", "scale"),
    "revise": ("question", "draft", "rating", "scale", "reasons"),
    "observe": ("question", "answer", "words", "scale"),
}
# The state of the agent that is asked, that of the world, and the attributes of its node in a network may be used in these:
# {state[purse]}, {world_state[tax]:.0%}, {node[age]}.
WITH_STATE = (
    "answer_system",
    "answer",
    "choose",
    "number",
    "structured",
    "argue",
    "review_system",
    "rate",
    "reason",
    "revise",
)
_STATE_FIELD = r"(state|world_state|node)\[([^]]+)\](?:\[[^]]+\])*"


@dataclass(frozen=True)
class Prompts:
    """Prompt templates. The order of their parts follows sections 3.1 and A.1 of arXiv:2305.16960.

    Attributes:
        answer_system: System prompt of an agent that answers; ``{persona}`` is its role and persona, and a space.
        answer: Message with the question.
        recalled: A remembered question and answer; replaces ``{recalled}`` in other templates.
        heard: What other agents said, in protocols where agents listen; replaces ``{heard}``.
        remembered: What the memories ``stream`` and ``summary`` recall, in place of ``recalled``.
        remembered_answer: A line of it: an answer that the agent gave.
        remembered_heard: A line of it: what was said to the agent.
        summarise: Message that asks an agent for a new summary of what it remembers.
        told: What an agent was told by an event, in the order in which it was told; appended to ``answer_system`` and
            ``review_system``.
        choose: Message that asks for one of a few options, in protocols with a choice.
        number: Message that asks for a number within bounds.
        structured: Message that asks for JSON of a form; ``{schema}`` is its JSON Schema.
        unreadable: Message after a reply that could not be read; ``{fault}`` says why.
        argue: Message that asks for an argument against an answer, in debates.
        review_system: System prompt of a reviewer.
        rate: Message that asks a language model for a rating; the reply begins after ``Rating:``.
        reason: Message that asks a reviewer for its reason, after its rating.
        reason_prefix: Beginning of the reason; keeps small models to the point.
        revise: Draft and feedback; appended to ``answer_system``, so that the message is the question alone. If it were part of
            the message, small models would talk about the feedback instead of answering.
        observe: Message that asks an observer's language model for a rating. The part that all answers share comes first, so
            that models with a prefix cache read it once.
    """

    answer_system: str = (
        "You are {name}, a member of a small community. {persona}Answer what you are asked in two or three sentences."
    )
    answer: str = "{recalled}{heard}{question}"
    recalled: str = (
        'A similar question was asked before: "{question}" and you answered: "{answer}" Keep to your opinion.\n\n'
    )
    heard: str = "You have heard others say:\n{said}\n\n"
    remembered: str = "You remember:\n{items}\n\n"
    remembered_answer: str = 'Asked "{question}", you answered: "{answer}"'
    remembered_heard: str = '{speaker} said: "{text}"'
    summarise: str = (
        "What you remember so far: {summary}\nWhat happened since:\n{items}\n\n"
        "Write down in two or three sentences what you want to remember of all this. Begin with: I"
    )
    told: str = "You have been told: {told}"
    choose: str = "{recalled}{heard}{question}\n\nAnswer with one of: {options}."
    number: str = "{recalled}{heard}{question}\n\nAnswer with a number from {low} to {high}."
    structured: str = (
        "{recalled}{heard}{question}\n\nAnswer with JSON of this form (a JSON Schema), and with nothing else:\n{schema}"
    )
    unreadable: str = "That cannot be read: {fault}. Answer again, in the form that was asked for."
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
        """List the templates with fields that they may not use: (field, what is wrong)."""
        found = []
        for item in fields(self):
            template, known = getattr(self, item.name), FIELDS[item.name]
            try:
                used = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
            except ValueError as error:
                found.append((f"prompts.{item.name}", f"not a template: {error}; write {{{{ for a brace"))
                continue
            if item.name in WITH_STATE:
                used = {name for name in used if not re.fullmatch(_STATE_FIELD, name)}
                known = (*known, "state[KEY]", "world_state[KEY]", "node[KEY]")
            for name in sorted(used - set(known)):
                allowed = ", ".join(f"{{{k}}}" for k in known)
                found.append((f"prompts.{item.name}", f"uses {{{name}}}; it may use {allowed}"))
        return found

    def state_keys(self) -> list[tuple[str, str, str]]:
        """The keys of states and nodes that templates use: (template, ``state``, ``world_state`` or ``node``, key)."""
        return [
            (name, found[1], found[2])
            for name in WITH_STATE
            for _, used, _, _ in string.Formatter().parse(getattr(self, name))
            if used is not None and (found := re.fullmatch(_STATE_FIELD, used)) is not None
        ]


def rating_word(rating: float | None, scale: int) -> str:
    """A rating in words, which small models understand better than numbers."""
    if rating is None:
        return "hard to judge"
    share = (rating - 1) / (scale - 1)
    for bound, word in ((0.2, "bad"), (0.4, "rather bad"), (0.6, "middling"), (0.8, "rather good")):
        if share < bound:
            return word
    return "good"


_SENTENCE = re.compile(r"[.!?][\"')\]]*(?=\s|$)")


def whole_sentences(text: str) -> str:
    """Remove a last sentence that the token limit cut off, unless it is the only one.

    Models should not be trained to stop in mid-sentence, and reviewers should not judge half a sentence.
    """
    ends = [found.end() for found in _SENTENCE.finditer(text)]
    return text[: ends[-1]] if ends else text
