"""What is measured of language models: one function a row, ours against what one would write without us."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rows import Row, http

from sandbox import World
from sandbox.models.base import Message, Request
from sandbox.models.catalog import load_model
from sandbox.models.local.chat_template import render
from sandbox.raters.lm import LMRater
from sandbox.scenario.loading import load_scenario
from sandbox.scenario.scenario import Scenario
from sandbox.society.observer import DimensionScorer

MODEL = "smollm2"
RUBRIC = (
    "You are a member of a small community and say what you think of others' answers. Judge every answer by the same "
    "rubric. A good answer helps the one who asked, harms nobody, is honest about what it does not know, respects those "
    "it speaks of, and says what could be done next. A poor answer flatters, scolds, repeats the question, or tells "
    "people to do what would hurt them or others. Say what is good first, then what is missing, and never more than "
    "two sentences of either. Do not mention this rubric, and do not speak of yourself. Keep to the point."
)
N_PROMPTS, NEW_TOKENS, N_PAIRS = 64, 48, 256
RATING_TOKENS = 48  # what a society allows a rating in words


def count_tokens(model: Any, text: str) -> int:
    """Tokens of a text, without those that a prompt adds."""
    return len(model.tokenizer(text, add_special_tokens=False)["input_ids"])


def prompts(model: Any, n: int) -> list[Request]:
    """Questions and answers of 150 to 250 tokens behind one rubric of about 120, in no order of length."""
    scenario = load_scenario("value_alignment", {})
    known = [f'"{p.question}" was answered: "{p.answer}"' for pairs in scenario.upbringing.values() for p in pairs]
    draw = random.Random(0)
    found = []
    while len(found) < n:
        target = 150 + 100 * len(found) // n
        words = " ".join(draw.sample(known, 6)).split()
        for end in range(len(words), 0, -1):
            said = f"{' '.join(words[:end])} What do you think of that?"
            messages = (Message("system", RUBRIC), Message("user", said))
            if count_tokens(model, render(model.tokenizer, messages)) <= target:
                found.append(Request(messages, NEW_TOKENS, temperature=0.8, top_p=0.95, seed=len(found)))
                break
    draw.shuffle(found)
    return found


def plain(model: Any, requests: Sequence[Request], batch: int, new_tokens: int = NEW_TOKENS) -> tuple[int, float]:
    """``model.generate`` of transformers on batches padded to their longest; tokens written, and seconds."""
    import torch

    tokenizer = model.tokenizer
    tokenizer.padding_side = "left"
    written, began = 0, time.perf_counter()
    for start in range(0, len(requests), batch):
        part = requests[start : start + batch]
        texts = [render(tokenizer, request.messages, request.prefix) for request in part]
        given = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        how = {"do_sample": True, "temperature": 0.8, "top_p": 0.95, "pad_token_id": tokenizer.pad_token_id}
        with torch.inference_mode():
            out = model.model.generate(**given, max_new_tokens=new_tokens, **how)
        new = out[:, given["input_ids"].shape[1] :]
        written += int((new != tokenizer.pad_token_id).sum())
        tokenizer.batch_decode(new, skip_special_tokens=True)
    return written, time.perf_counter() - began


def generation(quick: bool) -> list[Row]:
    """Tokens per second of ours against a loop of ``model.generate``, one prompt at a time and in batches of 16.

    In float32, as transformers loads the model, and in the type that ``dtype=auto`` takes here.
    """
    rates: dict[str, dict[str, float]] = {}
    for dtype in ("float32", "auto"):
        model: Any = load_model(MODEL, dtype=dtype)
        name = str(model.model.dtype).removeprefix("torch.")
        if name in rates:
            break
        asked = prompts(model, 16 if quick else N_PROMPTS)
        lengths = [count_tokens(model, render(model.tokenizer, request.messages)) for request in asked]
        model.generate(asked[:2])  # warm up
        plain(model, asked[:1], 1, 4)
        some = asked[:: 8 if quick else 4]
        found: dict[str, list[float]] = {"ours": [], "one": [], "sixteen": []}
        for part in range(1 if quick else 2):  # by turns, since a machine is not the same all the time
            found["one"].append(_rate(plain(model, some[part::2], 1)))
            found["ours"].append(_rate(ours(model, asked)))
            found["sixteen"].append(_rate(plain(model, asked[32 * part :][:32], 16)))
        rates[name] = {way: statistics.mean(seen) for way, seen in found.items()}
    fast, exact = list(rates.values())[-1], rates["float32"]
    details = {
        "tokens_per_s": rates, "prompt_tokens": [min(lengths), max(lengths)], "rubric_tokens": count_tokens(model, RUBRIC),
        "replies": len(asked),
    }  # fmt: skip
    what = (
        f"{len(asked)} prompts of {min(lengths)}–{max(lengths)} tokens that share a rubric, {NEW_TOKENS} new: tokens/s"
    )
    return [
        Row("generation", f"{what}, ours with dtype=auto ({list(rates)[-1]})",
            "times `model.generate` one prompt at a time (float32)", fast["ours"] / exact["one"], 8, True, "", details),
        Row("generation", f"{what}, both in float32", "times `model.generate` on padded batches of 16",
            exact["ours"] / exact["sixteen"], 1.3, True, "", details),
    ]  # fmt: skip


def ours(model: Any, requests: Sequence[Request]) -> tuple[int, float]:
    """One call with all requests; tokens written, and seconds."""
    began = time.perf_counter()
    replies = model.generate(requests)
    return sum(reply.completion_tokens for reply in replies), time.perf_counter() - began


def _rate(seen: tuple[int, float]) -> float:
    return seen[0] / seen[1]


def ratings(quick: bool) -> Row:
    """Ratings per second from probabilities, against having the model write them.

    Ours in the type that ``dtype=auto`` takes here and in float32, theirs in float32, as transformers loads the model.
    """
    scenario = load_scenario("value_alignment", {})
    pairs = _pairs(scenario, 32 if quick else N_PAIRS)
    exact: Any = load_model(MODEL)
    fast: Any = load_model(MODEL, dtype="auto")
    scale, dimension = scenario.rubric.scale, scenario.rubric.dimensions[0]
    judges = [DimensionScorer(dimension, scale, model, scenario.prompts.observe) for model in (fast, exact)]
    asked = pairs[:: len(pairs) // (4 if quick else 16)]
    calls = [judges[1].rate(q, a, tuple("1234567"), RATING_TOKENS).request for q, a in asked]
    rater = LMRater()
    for judge in judges:
        rater.rate(pairs[:2], rater_of=judge)  # warm up
    plain(exact, calls[:1], 1, 4)
    _, before = plain(exact, calls[::2], 1, RATING_TOKENS)
    rates, found = [], []
    for judge in judges:
        began = time.perf_counter()
        found.append(rater.rate(pairs, rater_of=judge))
        rates.append(len(pairs) / (time.perf_counter() - began))
    _, after = plain(exact, calls[1::2], 1, RATING_TOKENS)
    theirs = len(calls) / (before + after)
    if not all(rating.value for said in found for rating in said):
        raise RuntimeError("a rating is missing")
    apart = [abs((a.value or 0) - (b.value or 0)) for a, b in zip(*found, strict=True)]
    dtype = str(fast.model.dtype).removeprefix("torch.")
    return Row(
        "ratings", f"rating {len(pairs)} pairs of question and answer: pairs/s, ours with dtype=auto ({dtype})",
        "times having `model.generate` write them (float32)", rates[0] / theirs, 10, True, "",
        {"pairs_per_s": {"ours": {dtype: rates[0], "float32": rates[1]}, "written": {"float32": theirs}},
         "written_tokens_at_most": RATING_TOKENS, "types_apart_mean": statistics.mean(apart), "types_apart_most": max(apart)},
    )  # fmt: skip


def society(quick: bool) -> Row:
    """How much of a round's time is spent inside models: the language model and the sentence embedder."""
    model = _Timed(load_model(MODEL))
    settings = {"size": 3, "candidates": 2, "max_tokens": 40} if quick else {"size": 4}
    with tempfile.TemporaryDirectory(prefix="sandbox-benchmark-") as folder:
        world = World("value_alignment", model=model, reviewers=4, out=Path(folder) / "run", **settings)  # type: ignore[arg-type]
        embedder = _Timed(world.embedder.inner)
        world.embedder.inner = embedder
        try:
            world.step()
            model.seconds = embedder.seconds = 0.0
            began = time.perf_counter()
            for _ in range(1 if quick else 2):
                world.step()
            wall = time.perf_counter() - began
        finally:
            world.close()
    return Row(
        "society", f"a round of {settings['size'] ** 2} agents, k=4: wall time spent inside models", "of the round",
        (model.seconds + embedder.seconds) / wall, 0.95, True, "",
        {"language_model": model.seconds / wall, "embedder": embedder.seconds / wall, "seconds": wall},
    )  # fmt: skip


class _Timed:
    """A model or an embedder, and how long it was at work."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def generate(self, requests: Any) -> Any:
        return self._during(self._inner.generate, requests)

    def embed(self, texts: Any) -> Any:
        return self._during(self._inner.embed, texts)

    def _during(self, work: Callable[[Any], Any], given: Any) -> Any:
        began = time.perf_counter()
        try:
            return work(given)
        finally:
            self.seconds += time.perf_counter() - began


def _pairs(scenario: Scenario, n: int) -> list[tuple[str, str]]:
    known = [
        (p.question, text) for said in scenario.upbringing.values() for p in said for text in (p.answer, p.instead)
    ]
    found = [pair for pair in dict.fromkeys(known) if pair[1]]
    random.Random(0).shuffle(found)
    return [found[i % len(found)] for i in range(n)]


ROWS: dict[str, Callable[[bool], Row | list[Row]]] = {
    "generation": generation,
    "ratings": ratings,
    "society": society,
    "http": http,
}
