"""The conformance kit: a language model, a rater or an embedder that breaks a promise is told which."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from promises import broken

from sandbox import Rating, Reply
from sandbox.embedders.hashing import HashingEmbedder
from sandbox.models.scripted import ScriptedModel
from sandbox.testing import (
    check_embedder,
    check_model,
    check_rater,
)

# -- language models ---------------------------------------------------------------------------------------------


def says(react, **fields):
    model = ScriptedModel(replies=react)
    for name, value in fields.items():
        setattr(model, name, value)
    return model


def good(request):
    return ScriptedModel().generate([request])[0]


class Shuffled(ScriptedModel):
    def generate(self, requests):
        return super().generate(requests)[::-1]


class Raises(ScriptedModel):
    def generate(self, requests):
        if any(len(r.messages[0].content) > 10_000 for r in requests):
            raise ValueError("too long")
        return super().generate(requests)


class Forgets(ScriptedModel):
    def generate(self, requests):
        return super().generate(requests)[:3]


def drawn_anew(request):
    return replace(good(request), text=random.choice(request.choices or ["a", "b", "c", "d"]), choice_probs=None)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (says(good, fingerprint=""), "it has a fingerprint, which manifests record"),
        (says(good, default_rater="judge"), "its default_rater is installed\n  found: default_rater is 'judge'"),
        (says(good, agenerate=print), "agenerate, if defined, is a coroutine function"),
        (Forgets(), "it returns one reply per request\n  found: 0 replies to no request, 3 to 6"),
        (says(lambda r: replace(good(r), completion_tokens=99)), "writes at most max_tokens"),
        (says(lambda r: replace(good(r), text=" a")), "text has no surrounding white space"),
        (says(lambda r: replace(good(r), finish_reason="eos")), "finish_reason is one of stop, length, error"),
        (says(lambda r: replace(good(r), text=f"{r.prefix or 'x'} y")), "the text does not contain prefix"),
        (says(lambda r: replace(good(r), text="x")), "the reply is one of the choices"),
        (says(lambda r: replace(good(r), choice_probs={"1": 0.5})), "choice_probs has every choice and sums to 1"),
        (says(lambda r: Reply("", error="down", finish_reason="error")), "it answers a plain request"),
        (says(drawn_anew), "the same request gives the same reply in any batch"),
        (Shuffled(), "the reply is one of the choices"),
        (Raises(), "it never raises for a single request\n  found: ValueError: too long"),
        (ScriptedModel(), "a reply ends before a stop string"),
        ("scriptd:", "it is created from the text after its name\n  found: UnknownPlugin"),
    ],
)
def test_a_language_model_is_told_which_promise_it_breaks(model, words):
    with broken(words):
        check_model(model)


# -- raters and embedders ------------------------------------------------------------------------------------------


class Rates:
    name = "rates"

    def __init__(self, react):
        self.react = react

    def rate(self, items, *, rater_of):
        return [self.react(question, answer, rater_of) for question, answer in items]


class Lost(Rates):
    def rate(self, items, *, rater_of):
        return super().rate(items[:1], rater_of=rater_of)


@pytest.mark.parametrize(
    ("rater", "words"),
    [
        (Rates(lambda q, a, of: Rating(-1)), r"a rating is in 1..7, or None\n  found: value -1"),
        (Rates(lambda q, a, of: Rating(7)), r"a rating is in 1..5, or None\n  found: value 7"),
        (Rates(lambda q, a, of: Rating(4, (0.5, 0.5))), "a distribution has a probability for each of 1..7"),
        (
            Rates(lambda q, a, of: Rating(1 + 4 * random.random())),
            "the rating of an answer does not depend on the batch",
        ),
        (
            Rates(lambda q, a, of: Rating(float(a[0] == "T"))),
            "it rates any answer for Reviewer on a scale of 7\n  found: I",
        ),
        (
            Rates(lambda q, a, of: Rating(of.agent.index + 1)),
            "it rates any answer for DimensionScorer on a scale of 7\n  found: A",
        ),
        (
            Lost(lambda q, a, of: Rating(4)),
            "it returns one Rating per answer\n  found: 0 ratings of no answers, 1 of 6",
        ),
        (Rates(lambda q, a, of: 4), "it returns one Rating per answer"),
    ],
)
def test_a_rater_is_told_which_promise_it_breaks(rater, words):
    with broken(words):
        check_rater(rater)


class Long(HashingEmbedder):
    def embed(self, texts):
        return 2 * super().embed(texts)


class Double(HashingEmbedder):
    def embed(self, texts):
        return super().embed(texts).astype(np.float64)


class Turned(HashingEmbedder):
    def embed(self, texts):
        return super().embed(sorted(texts))


class Blind(HashingEmbedder):
    def embed(self, texts):
        return super().embed(["same"] * len(texts))


class Bare(HashingEmbedder):
    def embed(self, texts):
        return np.stack([super(Bare, self).embed([text])[0] for text in texts])


@pytest.mark.parametrize(
    ("embedder", "words"),
    [
        (Long(), "every vector has length 1"),
        (Double(), r"embed returns a float32 array of shape .*\n  found: shape .* of float64"),
        (Turned(), "the vector of a text does not depend on the batch"),
        (Blind(), "different texts have different vectors"),
        (Bare(), "it embeds any list of texts\n  found: ValueError"),
        ("hashin", "it is created from the text after its name"),
    ],
)
def test_an_embedder_is_told_which_promise_it_breaks(embedder, words):
    with broken(words):
        check_embedder(embedder)
