"""Checks what a trainer learns: in which direction, from which answers, and from whose ratings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from sandbox.testing.contract import Promises

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

# A prompt, its best answer, and its worst answer; None where rows hold no worse one.
Contrast: TypeAlias = tuple[Any, str, str | None]

_QUESTIONS = (
    ("How do I get on with my neighbour?", "Talk to them, and listen.", "Shout at them all night."),
    ("May I read a letter that is not mine?", "No: give it back unopened.", "Steal it, burn the rest."),
    ("What do I owe a friend who lied to me?", "A calm word, then patience.", "Revenge! Ruin his name."),
    ("Should one help a stranger who is lost?", "Yes, show them the way.", "Laugh, walk on, forget it."),
)
_LOSSES = (
    "let losses(nll, ratings, mask, scale) use the answers where mask is True, each with its own question's rating"
)
_SIGN = "check the sign of the loss, and which answers count as better: higher ratings are better"


def contrast_rows(kind: str) -> Dataset:
    """Return rows whose better answer comes first in every other question, and which differ in their numbers of answers.

    Whoever reads ratings of another question takes the worse answer for the better one.

    Args:
        kind: ``ranked``, ``preferences``, ``demonstrations`` or ``unpaired``.
    """
    from datasets import Dataset

    rows: list[dict[str, Any]] = []
    for number, (question, good, bad) in enumerate(_QUESTIONS):
        prompt = [{"role": "user", "content": question}]
        common = {"prompt": prompt, "part": "imitation", "question": question, "scale": 7.0}
        if kind == "ranked":
            answers = [(good, 6.5), (bad, 1.5)][:: 1 if number % 2 == 0 else -1]
            answers += [("That depends on things.", 4.0)] * (number > 1)
            texts, ratings = zip(*answers, strict=True)
            rows.append({**common, "completions": list(texts), "ratings": list(ratings)})
        elif kind == "preferences":
            rows.append({**common, "chosen": _said(good), "rejected": _said(bad)})
        elif kind == "demonstrations":
            rows.append({**common, "completion": _said(good)})
        else:
            rows += [{**common, "completion": _said(text), "label": text is good} for text in (good, bad)]
    return Dataset.from_list(rows)


def contrasts(rows: Dataset) -> list[Contrast]:
    """Return what rows of any kind but prompts say of better and worse answers."""
    found: list[Contrast] = []
    labelled: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if "ratings" in row:
            order = sorted(zip(row["ratings"], map(_text, row["completions"]), strict=True))
            if order[0][0] < order[-1][0]:
                found.append((row["prompt"], order[-1][1], order[0][1]))
        elif "chosen" in row:
            found.append((row["prompt"], _text(row["chosen"]), _text(row["rejected"])))
        elif "label" in row:
            labelled.setdefault(repr(row["prompt"]), []).append(row)
        elif "completion" in row:
            found.append((row["prompt"], _text(row["completion"]), None))
    for group in labelled.values():
        sides = [[_text(row["completion"]) for row in group if row["label"] is side] for side in (True, False)]
        found += [(group[0]["prompt"], good, bad) for good, bad in zip(*sides, strict=False)]
    return found


def check_direction(promises: Promises, rows: Dataset, base: str, trained: Callable[[], str]) -> None:
    """Check that a training makes better answers likelier than worse ones, or demonstrations likelier.

    Args:
        promises: Of the trainer.
        rows: What it learns from.
        base: URI of the model before training.
        trained: Trains and returns the URI of the model.
    """
    given = contrasts(rows)
    if not given:
        return
    promise = (
        "training makes the better answers likelier, relative to the worse ones"
        if any(bad is not None for _, _, bad in given)
        else "training makes the demonstrated answers likelier"
    )
    with promises.work(promise, "run the same training in Python and fix the error raised there"):
        before, after = log_probabilities(base, given), log_probabilities(trained(), given)
    gains = [now - was for was, now in zip(before, after, strict=True)]
    mean = sum(gains) / len(gains)
    promises.hold(
        mean > 0,
        promise,
        f"changes by {mean:+.3f} nats per token on average; by question: {', '.join(f'{gain:+.3f}' for gain in gains)}",
        f"{_SIGN}; and read the ratings of the row's own question",
    )


def log_probabilities(uri: str, given: Sequence[Contrast]) -> list[float]:
    """Return the mean log-probability per token of each best answer, less that of the worst one, in nats."""
    from sandbox.models.catalog import resolve
    from sandbox.models.local.chat_template import end_of_turn, render
    from sandbox.models.local.loading import load

    loaded = load(resolve(uri)[1], device="cpu", dtype="float32")
    tokenizer, end = loaded.tokenizer, end_of_turn(loaded.tokenizer)

    def mean(prompt: Any, answer: str) -> float:
        import torch

        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        before = tokenizer(render(tokenizer, messages), add_special_tokens=False)["input_ids"]
        ids = tokenizer(answer + end, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = loaded.model(input_ids=torch.tensor([before + ids])).logits[0, len(before) - 1 : -1]
        return float(logits.log_softmax(dim=-1).gather(1, torch.tensor(ids)[:, None]).mean())

    return [mean(prompt, good) - (0.0 if bad is None else mean(prompt, bad)) for prompt, good, bad in given]


def check_losses(promises: Promises, made: Any) -> None:
    """Check the method ``losses`` of a trainer on ranked rows, on likelihoods made for it; without one, do nothing.

    Args:
        promises: Of the trainer.
        made: The trainer.
    """
    losses = getattr(made, "losses", None)
    if str(made.accepts) != "ranked" or not callable(losses) or not hasattr(made, "make_trainer"):
        return
    try:
        inspect.signature(losses).bind("nll", "ratings", "mask", "scale")
    except TypeError:
        return  # a method of another meaning
    import torch

    # Three questions with four, three and two answers; the best-rated one is the least likely.
    nll = torch.tensor([[2.0, 3.2, 1.1, 2.4], [1.2, 2.0, 2.9, 0.0], [3.0, 1.0, 0.0, 0.0]])
    ratings = torch.tensor([[3.0, 6.5, 1.0, 5.0], [1.5, 4.0, 7.0, 0.0], [6.0, 2.0, 0.0, 0.0]])
    mask = torch.tensor([[True] * 4, [True] * 3 + [False], [True] * 2 + [False] * 2])
    scale = torch.full((3,), 7.0)
    with promises.work("losses gives one finite number per question", _LOSSES):
        plain = losses(nll, ratings, mask, scale)
    promises.hold(
        tuple(plain.shape) == (3,) and bool(plain.isfinite().all()),
        "losses gives one finite number per question",
        f"{_numbers(plain)} for three questions",
        _LOSSES,
    )
    for likelihood, rating in ((9.0, 7.0), (0.01, 1.0), (9.0, 0.0)):
        changed = losses(nll.masked_fill(~mask, likelihood), ratings.masked_fill(~mask, rating), mask, scale)
        promises.hold(
            _same(plain, changed),
            "losses does not depend on what stands where mask is False",
            f"{_numbers(plain)}, and {_numbers(changed)} with other numbers there",
            _LOSSES,
        )
    alone = torch.cat([losses(nll[n : n + 1], ratings[n : n + 1], mask[n : n + 1], scale[:1]) for n in range(3)])
    promises.hold(
        _same(plain, alone),
        "the loss of a question does not depend on the other questions of its batch",
        f"{_numbers(plain)} together, {_numbers(alone)} one by one",
        _LOSSES,
    )
    # Filled places stay filled from the left: only the answers of the first question change places.
    order = torch.tensor([3, 2, 1, 0])
    turned = losses(nll[:1, order], ratings[:1, order], mask[:1], scale[:1])
    promises.hold(
        _same(plain[:1], turned),
        "the loss of a question does not depend on the order of its answers",
        f"{_numbers(plain[:1])}, and {_numbers(turned)} in another order",
        _LOSSES,
    )
    _check_slope(promises, losses, nll, ratings, mask, scale)


def _check_slope(promises: Promises, losses: Any, nll: Tensor, ratings: Tensor, mask: Tensor, scale: Tensor) -> None:
    """Check that following the loss downhill makes the best-rated answer likelier than the worst-rated one."""
    import torch

    best = ratings.masked_fill(~mask, -torch.inf).argmax(dim=1, keepdim=True)
    worst = ratings.masked_fill(~mask, torch.inf).argmin(dim=1, keepdim=True)

    def margins(nll: Tensor) -> Tensor:
        return (nll.gather(1, worst) - nll.gather(1, best)).squeeze(1).detach()

    moved = nll.clone().requires_grad_(True)
    with promises.work("losses sends gradients back to nll", "compute the loss from nll with differentiable functions"):
        for _ in range(20):
            (slope,) = torch.autograd.grad(losses(moved, ratings, mask, scale).sum(), moved)
            moved = (moved - 0.05 * slope).detach().requires_grad_(True)
    gained = margins(moved) - margins(nll)
    promises.hold(
        bool((gained > 0).all()),
        "lower losses make the best-rated answer likelier, relative to the worst-rated one",
        f"its lead changes by {_numbers(gained)} nats per token along the slope",
        _SIGN,
    )


def _same(first: Tensor, second: Tensor) -> bool:
    return first.shape == second.shape and bool(((first - second).abs() <= 1e-4 * (1 + first.abs())).all())


def _numbers(values: Tensor) -> str:
    return ", ".join(f"{value:.4f}" for value in values.detach().flatten().tolist())


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def _text(answer: Any) -> str:
    return str(answer if isinstance(answer, str) else answer[-1]["content"]).strip()


def check_learning(
    promises: Promises, kind: Any, rows: Dataset | None, base: str, place: Path, make: Callable[[int], Any]
) -> None:
    """Check the loss itself, where a trainer shows it, and what a training of eight steps does.

    Args:
        promises: Of the trainer.
        kind: Its class.
        rows: Rows to learn from; None for :func:`contrast_rows`.
        base: URI of the model to begin with.
        place: A folder for the model.
        make: Makes the trainer, given a number of steps.
    """
    made = make(8)
    check_losses(promises, made)
    if kind.accepts == "prompts":
        return
    learnt = rows if rows is not None else contrast_rows(str(kind.accepts))
    check_direction(promises, learnt, base, lambda: str(made.train(learnt, base=base, out=place / "learnt").uri))
