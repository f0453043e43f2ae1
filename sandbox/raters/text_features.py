"""Features of a text that need no model: word order, length, repetition, known words, overlap with a question.

They are counted against a set of answers of people, by which they know how words follow each other in text that means
something.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?|\d+|[^\w\s]", re.UNICODE)
_COMMON = 120  # words that are classes of their own
_ENDINGS = ("ing", "ed", "ly", "s", "er", "tion", "al", "y", "e", "t", "n")

N_FEATURES = 13
N_OVERLAPS = 4


def log2_words(text: str) -> float:
    """Length of a text: log2 of its words and one."""
    return math.log2(len(text.split()) + 1)


def tokens(text: str) -> list[str]:
    """Words, numbers and punctuation marks of a text, in lower case."""
    return [token.lower() for token in _TOKEN.findall(text)]


class TextStatistics:
    """Counts of words, and of which class of word follows which, in a set of answers.

    Args:
        answers: (question, answer) pairs. The counts of one question can be left out, so that a head which is fitted to
            features of these answers meets them as it will meet others.
    """

    def __init__(self, answers: Sequence[tuple[str, str]]) -> None:
        words: Counter[str] = Counter()
        self._own: dict[str, Counter[str]] = {}
        texts = [(question, tokens(answer)) for question, answer in answers]
        for question, text in texts:
            words.update(text)
            self._own.setdefault(question, Counter()).update(text)
        self._words = words
        self._common = {word for word, n in words.most_common(_COMMON) if n > 2}
        self._classes: Counter[str] = Counter()
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._own_pairs: dict[str, Counter[tuple[str, str]]] = {}
        for question, text in texts:
            pairs = list(self._class_pairs(text, self._own[question]))
            self._pairs.update(pairs)
            self._classes.update(second for _, second in pairs)
            self._own_pairs.setdefault(question, Counter()).update(pairs)
        self._firsts: Counter[str] = Counter()
        for (first, _), n in self._pairs.items():
            self._firsts[first] += n
        self._n_classes = max(1, sum(self._classes.values()))
        n_texts = max(1, len(texts))
        having = Counter(stem for _, answer in answers for stem in _stems(answer))
        self._idf = {word: math.log((n_texts + 1) / (n + 0.5)) for word, n in having.items()}
        self._rarest = math.log((n_texts + 1) / 0.5)

    def _class(self, token: str, own: Counter[str]) -> str:
        if token in self._common:
            return token
        if not token[0].isalpha():
            return "0" if token[0].isdigit() else token
        if self._words[token] <= own[token]:
            return "?"  # no answer to another question has it
        return next((f"-{end}" for end in _ENDINGS if token.endswith(end)), "-")

    def _class_pairs(self, text: Sequence[str], own: Counter[str]) -> Iterator[tuple[str, str]]:
        classes = ["^", *(self._class(token, own) for token in text), "$"]
        return pairwise(classes)

    def describe(self, text: str, *, of: str | None = None) -> NDArray[np.float64]:
        """Features of a text. Shape [13].

        Args:
            text: The text.
            of: A question whose own answers are not counted.
        """
        own = self._own.get(of, Counter()) if of is not None else Counter[str]()
        own_pairs = self._own_pairs.get(of, Counter()) if of is not None else Counter[tuple[str, str]]()
        found = tokens(text)
        n = len(found)
        if n == 0:
            return np.zeros(N_FEATURES)
        gains = [self._gain(pair, own_pairs[pair]) for pair in self._class_pairs(found, own)]
        alphabetic = [token for token in found if token[0].isalpha()]
        known = [token for token in alphabetic if self._words[token] > own[token]]
        words = text.split()
        length = log2_words(text)
        pairs = Counter(pairwise(found))
        flow = float(np.mean(gains))
        return np.array(
            [
                flow,
                flow * math.sqrt(len(gains)) / 5.0,
                float(np.mean([gain < -1.0 for gain in gains])) * 2.0,
                length / 2.0,
                (length - 4.5) ** 2 / 4.0,
                float(n <= MIN_TOKENS),
                len(set(found)) / n,
                math.log(n + 1) * (1.0 - len(set(found)) / n),
                (sum(pairs.values()) - len(pairs)) / max(1, n - 1) * 2.0,
                len(known) / max(1, len(alphabetic)) * 2.0,
                sum(token in self._common for token in alphabetic) / max(1, len(alphabetic)) * 2.0,
                float(text.rstrip()[-1:] in ".!?\"'”’)"),
                sum(word[:1].isupper() for word in words) / max(1, len(words)),
            ]
        )

    def _gain(self, pair: tuple[str, str], left_out: int) -> float:
        """How much likelier a class is behind its neighbour than anywhere, in nats."""
        anywhere = (self._classes[pair[1]] + 0.5) / (self._n_classes + 0.5 * len(self._classes) + 1)
        behind = (self._pairs[pair] - left_out + 4.0 * anywhere) / (self._firsts[pair[0]] - left_out + 4.0)
        return math.log(max(behind, 1e-9) / anywhere)

    def compare(self, question: str, text: str) -> NDArray[np.float64]:
        """What words of a text stand in the question, weighted by how rare they are. Shape [4]."""
        asked, said = _stems(question), _stems(text)
        shared = asked & said
        weight = self._weight(shared)
        length = log2_words(text)
        return np.array(
            [
                weight / 5.0,
                weight / max(1e-9, self._weight(said)) * 2.0,
                weight / max(1e-9, self._weight(asked)) * 2.0,
                weight / max(1.0, length) / 2.0,
            ]
        )

    def _weight(self, stems: set[str]) -> float:
        return sum(max(0.0, self._idf.get(stem, self._rarest) - 1.5) for stem in stems)


MIN_TOKENS = 3


def copied_share(question: str, text: str) -> float:
    """Share of a text's runs of three tokens that stand in the question, in [0, 1]."""
    asked, said = tokens(question), tokens(text)
    n = min(3, len(said))
    if n == 0:
        return 0.0
    there = {tuple(asked[i : i + n]) for i in range(len(asked) - n + 1)}
    runs = [tuple(said[i : i + n]) for i in range(len(said) - n + 1)]
    return sum(run in there for run in runs) / len(runs)


def _stems(text: str) -> set[str]:
    """Words without the commonest endings, so that "lies" and "lie" are one."""
    found = set()
    for token in tokens(text):
        if token[0].isalpha() and len(token) > 3:
            found.add(re.sub(r"(?:ing|ed|es|s|'s|’s)$", "", token) if len(token) > 4 else token)
    return found
