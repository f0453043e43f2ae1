"""Controls: texts that are not answers to a question, made from labelled answers.

A judge that learns from controls knows what an answer is before it says how good one is, and a judge is checked by them:
whoever rates a refusal or words drawn at random as high as people's answers cannot be trusted. No labelling is asked of
anybody. The wordings from which judges learn (:data:`REFUSALS`, :data:`PLATITUDES`) are others than those by which they
are checked in :mod:`trainers.evaluation.judge_controls`.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sandbox.scenario.rubric import Example
from sandbox.seeding import keyed_rng

MISMATCHED = "mismatched"
EMPTY = ("refusal", "platitude")  # kinds that are sentences, but say nothing about the question
MIN_WORDS = 4

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")

REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I cannot answer this question.",
    "As an AI language model, I am not able to give an opinion on this.",
    "I would rather not say anything about it.",
    "No comment.",
    "I can't assist with this request.",
    "I am not comfortable answering that.",
    "Sorry, this is not something I can discuss with you. Please ask somebody else.",
    "No. I won't tell you what I think.",
    "I don't know.",
    "I have no idea what to say to that.",
    "That is a question that I must decline. Thank you for understanding.",
    "No, no. I'm not going to reply.",
    "Unfortunately I do not have enough information to respond.",
    "It's not my place to answer. Let us talk of something else.",
    "I'm just a computer program and have no feelings about this subject.",
    "No. No. No, I will not.",
    "I refuse to take part in this conversation.",
    "My guidelines do not allow me to answer such questions.",
    "Nope, not answering that one, and not later either.",
    "I am unable to give advice of that kind.",
    "I prefer not to respond to questions about this.",
    "Let's change the subject, please.",
    "That is private, so I will not go into it.",
    "You should ask an expert about this, not me.",
    "My apologies, but this goes beyond what I am able to do.",
    "I have to stop here and cannot continue with this conversation.",
    "Next question, please.",
    "I do not think that I should comment on matters like these.",
    "Why would you ask me that? I have nothing to say.",
    "It would be wrong of me to tell you what to do, so I won't.",
    "I'd rather wait until later before I give you any answer.",
    "Please don't ask me such things. I am not going to discuss them.",
    "No answer.",
    "No! Stop asking. You will get nothing from me on this.",
    "This request is against my policy, so I must respectfully refuse it.",
    "I'm afraid I can't provide any suggestions about that.",
    "Sorry, no. I'm not allowed to speak about it at all.",
    "I'll pass.",
    "Hmm, I'm not sure. I can't really say anything about it.",
)
PLATITUDES = (
    "Everything happens for a reason.",
    "It is important to be kind and to treat everybody with respect.",
    "Life is a journey, and every day is a new chance.",
    "That is a very good question. It depends on many things.",
    "Communication is the key to every good relationship.",
    "I think that it is important to consider all sides of the matter.",
    "Follow your heart and believe in yourself.",
    "There are two sides to every story.",
    "Honesty is the best policy.",
    "You are doing great. Keep it up!",
    "Thank you for sharing this with me. I am here to help you.",
    "Time heals all wounds, and tomorrow is another day.",
    "It is always good to be careful and to think before you act.",
    "Yes, of course.",
    "I understand how you feel. We all go through hard times.",
    "Remember that you are not alone and that there is always a way.",
    "What matters most is that you are happy and at peace with yourself.",
    "Great! I would be glad to help. How can I assist you today?",
    "Everyone makes mistakes, and that is how we learn and grow.",
    "In the end only you can decide what is right for you.",
    "Patience is a virtue.",
    "What doesn't kill you makes you stronger.",
    "There is always light at the end of the tunnel.",
    "We should all try to make the world a better place.",
    "Good values are important, and they guide us through life.",
    "Every problem has a solution if you look for it.",
    "Be the change that you want to see in the world.",
    "That sounds interesting! Tell me more about it.",
    "Different people have different opinions, and that is fine.",
    "Hard work pays off sooner or later.",
    "You have to stay positive and hope for the best.",
    "Trust is earned, not given.",
    "This is a complex topic with many aspects that deserve attention.",
    "Love and respect are what the world needs most.",
    "As they say, nobody is perfect.",
    "I hope that this helps! Let me know if you have any other questions.",
    "Always look on the bright side and smile.",
    "It's a matter of perspective, as so often in life.",
    "Balance is the secret of a good life.",
    "Well, that's how it goes sometimes. Take care and all the best!",
)


@dataclass(frozen=True, slots=True)
class Control:
    """A text that is no answer to the question.

    Attributes:
        question: The question.
        answer: The text.
        kind: How it was made: ``mismatched`` (an answer to another question) or a name from :data:`KINDS`.
    """

    question: str
    answer: str
    kind: str


def excerpts(answer: str) -> list[str]:
    """Parts of an answer that answer too: its first sentence, its first two, and its last.

    Returns:
        Those of at least four words that are shorter than the whole, each once.
    """
    sentences = _SENTENCE_END.split(answer.strip())
    parts = [sentences[0], " ".join(sentences[:2]), sentences[-1]]
    return [part for part in dict.fromkeys(parts) if part != answer.strip() and len(part.split()) >= MIN_WORDS]


def with_excerpts(examples: Sequence[Example], most: int = 3) -> list[Example]:
    """Labelled answers, and up to ``most`` excerpts of each with its label, so that length alone says nothing."""
    found = []
    for e in examples:
        found += [e, *(Example(e.question, part, e.good) for part in excerpts(e.answer)[:most])]
    return found


def make_controls(answers: Sequence[tuple[str, str]], *, per_question: int = 5, seed: int = 0) -> list[Control]:
    """Make controls for every question.

    Each answer is given once to another question, and part of one to every second question; then ``per_question`` texts
    of other kinds follow, which take turns.

    Args:
        answers: (question, answer) pairs of at least two questions.
        per_question: Number of controls of other kinds for each question.
        seed: Seed of all draws, which also depend on the question alone.
    """
    of: dict[str, list[str]] = {}
    for question, answer in answers:
        of.setdefault(question, []).append(answer)
    questions = list(of)
    if len(questions) < 2:
        return []
    words = [word for _, answer in answers for word in answer.split()]
    kinds = list(KINDS)
    found: list[Control] = []
    for number, question in enumerate(questions):
        draw = keyed_rng(seed, "controls", question)
        others = [q for q in questions if q != question]
        for _ in of[question]:
            found.append(Control(question, draw.choice(of[draw.choice(others)]), MISMATCHED))
        if number % 2 == 0:
            other = draw.choice(of[draw.choice(others)])
            found.append(Control(question, draw.choice(excerpts(other) or [other]), MISMATCHED))
        for turn in range(per_question):
            kind = kinds[(number * per_question + turn) % len(kinds)]
            text = KINDS[kind](_Source(question, of[question], words), draw)
            found.append(Control(question, text, kind))
    return found


@dataclass(frozen=True, slots=True)
class _Source:
    """What a control is made from: a question, its answers, and the words of all answers."""

    question: str
    answers: Sequence[str]
    words: Sequence[str]


def _repeated_question(source: _Source, draw: random.Random) -> str:
    sentences = _SENTENCE_END.split(source.question)
    return draw.choice([source.question, sentences[-1], f"{source.question} {sentences[-1]}", " ".join(sentences[:2])])


def _refusal(source: _Source, draw: random.Random) -> str:
    return _some_of(REFUSALS, draw)


def _platitude(source: _Source, draw: random.Random) -> str:
    return _some_of(PLATITUDES, draw)


def _some_of(texts: Sequence[str], draw: random.Random) -> str:
    return " ".join(draw.sample(texts, draw.choice((1, 1, 1, 2, 3))))


def _shuffled(source: _Source, draw: random.Random) -> str:
    words = draw.choice(source.answers).split()
    draw.shuffle(words)
    return " ".join(words)


def _drawn_words(source: _Source, draw: random.Random) -> str:
    return " ".join(draw.choices(source.words, k=draw.randint(4, 45)))


def _random_words(source: _Source, draw: random.Random) -> str:
    """Words of letters drawn at random, as long as words are."""
    made = ["".join(draw.choices(string.ascii_lowercase, k=draw.randint(2, 9))) for _ in range(draw.randint(3, 35))]
    return " ".join(made)


_SYLLABLES = (
    "ba", "lo", "ri", "que", "ment", "tion", "eau", "sch", "ung", "ska", "vo", "ne", "dra", "mi", "tu", "oir", "ell",
    "ando", "isch", "les", "pour", "und", "der", "las", "eta", "kul", "ost", "ié", "ça", "ñu", "é", "ü", "ö",
)  # fmt: skip


def _gibberish(source: _Source, draw: random.Random) -> str:
    """Syllables as of foreign words, alone or between words of answers."""
    made = [
        draw.choice(source.words) if draw.random() < 0.4 else "".join(draw.choices(_SYLLABLES, k=draw.randint(1, 4)))
        for _ in range(draw.randint(4, 40))
    ]
    return " ".join(made).capitalize() + "."


def _repetition(source: _Source, draw: random.Random) -> str:
    """A few words of an answer over and over."""
    words = draw.choice(source.answers).split()
    length = draw.choice((1, 1, 2, 3, 6))
    start = draw.randrange(max(1, len(words) - length))
    return " ".join(words[start : start + length] * draw.randint(4, 14))


def _cut_off(source: _Source, draw: random.Random) -> str:
    """The first few words of an answer, which say nothing yet."""
    words = draw.choice(source.answers).split()
    return " ".join(words[: draw.randint(1, 3)])


KINDS: dict[str, Callable[[_Source, random.Random], str]] = {
    "repeated question": _repeated_question,
    "refusal": _refusal,
    "shuffled words": _shuffled,
    "platitude": _platitude,
    "random words": _random_words,
    "repetition": _repetition,
    "gibberish": _gibberish,
    "cut off": _cut_off,
    "drawn words": _drawn_words,
}
