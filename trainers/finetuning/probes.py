"""What is measured of a model while it trains, beside what its trainer logs: distance from its base, and held-out pairs.

Both measure at a few steps only, on a few answers, and leave random numbers and gradients alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback

from sandbox.seeding import keyed_rng
from trainers.likelihood.answer_nll import AnswerNLL, Question, answer_nlls, bare, looking_on


class KLProbe(TrainerCallback):
    """Divergence of the model in training from the one it began as, exact over the next token.

    KL(model || base) in nats per token: the mean over some places in some of the answers that are trained on. Made
    before the first step, while the model still is its base, whose log-probabilities it keeps.

    Args:
        model: In training.
        questions: Prompts with the answers that are trained on.
        seed: Draws the places.
        times: How often it is measured in a training, about.
        n_answers: Answers that are looked at.
        n_places: Places in each.
    """

    def __init__(
        self, model: Any, questions: Sequence[Question], *, seed: int, times: int = 10, n_answers: int = 8,
        n_places: int = 16,
    ) -> None:  # fmt: skip
        draw = keyed_rng(seed, "kl")
        self._texts = []
        for prompt, answers in draw.sample(questions, min(n_answers, len(questions))):
            answer = draw.choice(answers)
            places = sorted(draw.sample(range(len(answer)), min(n_places, len(answer))))
            # The token at a place is predicted from the one before it; the last answer token is never read.
            columns = torch.tensor([len(prompt) - 1 + place for place in places])
            self._texts.append((torch.tensor([[*prompt, *answer[:-1]]]), columns))
        self._model, self._times = model, times
        self._base = list(self._log_probabilities())
        self._found: dict[int, float] = {}

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure, about ten times in a training and after its last step."""
        every = math.ceil(state.max_steps / self._times)
        if state.global_step % every == 0 or state.global_step == state.max_steps:
            self._found[state.global_step] = self.measure()
            control.should_log = True

    def at(self, step: int) -> Mapping[str, float]:
        """``kl``, in nats per token, where it was measured."""
        return {"kl": self._found[step]} if step in self._found else {}

    def measure(self) -> float:
        """The divergence now, in nats per token."""
        sums, count = 0.0, 0
        for base, now in zip(self._base, self._log_probabilities(), strict=True):
            sums += float((now.exp() * (now - base)).sum())
            count += len(now)
        return max(0.0, sums / count)

    def _log_probabilities(self) -> Iterator[Tensor]:
        """Log-probabilities at the places of each answer. Shape [places, vocabulary]."""
        with looking_on(self._model):
            score = AnswerNLL(bare(self._model))
            for ids, columns in self._texts:
                device = score.model.device
                yield score.logits(columns.to(device), input_ids=ids.to(device)).float().log_softmax(dim=-1)


class HeldoutAccuracy(TrainerCallback):
    """Stops a training when the accuracy on held-out preferences no longer rises, and keeps the best weights.

    Args:
        model: In training.
        pairs: Held out: prompts, each with a better and a worse answer.
        pad: Id that fills batches up.
        every: Steps between two measurements; None measures after every epoch.
        patience: Measurements without anything better before the training stops.

    Attributes:
        best_step: After which step the accuracy was highest; None before it was measured.
    """

    def __init__(self, model: Any, pairs: Sequence[Question], *, pad: int, every: int | None, patience: int) -> None:
        self._model, self._pad, self._every, self._patience = model, pad, every, patience
        self._pairs = pairs
        self._found: dict[int, dict[str, float]] = {}
        self.best_step: int | None = None
        self._since = 0
        self._best: dict[str, Tensor] = {}

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure where it is due, and after the last step."""
        epoch_ends = abs(state.epoch - round(state.epoch)) < 1e-6
        due = epoch_ends if self._every is None else state.global_step % self._every == 0
        if due or state.global_step == state.max_steps:
            self._measure(state, control)

    def at(self, step: int) -> Mapping[str, float]:
        """``heldout_accuracy`` and ``heldout_margin`` (nats per token), where they were measured."""
        return self._found.get(step, {})

    def margins(self) -> Tensor:
        """How much likelier each better answer is than the worse one now, in nats per token. Shape [pairs]."""
        with looking_on(self._model):
            nll = answer_nlls(self._model, self._pairs, self._pad).view(-1, 2)  # [pairs, better and worse]
        return nll[:, 1] - nll[:, 0]

    def restore(self) -> None:
        """Give the model its best weights back."""
        with torch.no_grad():
            for name, weights in self._model.named_parameters():
                if name in self._best:
                    weights.copy_(self._best[name])

    def save(self, folder: Path) -> None:
        """Write all that is known into the folder of a checkpoint."""
        known = {"found": self._found, "best_step": self.best_step, "since": self._since, "best": self._best}
        torch.save(known, folder / "heldout.pt")

    def load(self, folder: Path) -> None:
        """Read back what :meth:`save` wrote."""
        known = torch.load(folder / "heldout.pt", weights_only=True)
        self._found, self.best_step = known["found"], known["best_step"]
        self._since, self._best = known["since"], known["best"]

    def _measure(self, state: Any, control: Any) -> None:
        margin = self.margins()
        accuracy = float((margin > 0).double().mean())
        self._found[state.global_step] = {"heldout_accuracy": accuracy, "heldout_margin": float(margin.mean())}
        control.should_log = True
        best = self._found[self.best_step]["heldout_accuracy"] if self.best_step is not None else -1.0
        if accuracy > best:
            self.best_step, self._since = state.global_step, 0
            learning = ((n, w) for n, w in self._model.named_parameters() if w.requires_grad)
            self._best = {name: weights.detach().to("cpu", copy=True) for name, weights in learning}
            return
        self._since += 1
        if self._since >= self._patience:
            control.should_training_stop = True
