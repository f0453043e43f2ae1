"""KL divergence of a model in training from its base.

A measurement leaves random numbers and gradients unchanged. It calls the wrapped model, so that the weights of a sharded model
are gathered; every process measures the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

import torch
from torch import Tensor
from transformers import TrainerCallback

from sandbox.seeding import keyed_rng
from trainers.likelihood.answer_nll import Question, eval_mode, scorer, unwrap

# Makes a context of mixed precision, so that a model is measured as it is trained.
Autocast: TypeAlias = Callable[[], AbstractContextManager[Any]]


class KLProbe(TrainerCallback):
    """Measures the KL divergence of the model in training from its base, exact over the next token.

    KL(model || base) in nats per token: the mean over sampled positions in sampled training answers. Must be created
    before the first step, while the model equals its base: the log-probabilities of the base are kept.

    Args:
        model: The model in training.
        questions: Prompts with the answers that are trained on.
        seed: Seed of the sampled answers and positions.
        times: Approximate number of measurements in a training.
        n_answers: Number of answers.
        n_places: Number of positions in each.
        autocast: Mixed precision of the training.
        sharded: Whether the model will be sharded; the base is then measured after sharding.
    """

    def __init__(
        self, model: Any, questions: Sequence[Question], *, seed: int, times: int = 10, n_answers: int = 8,
        n_places: int = 16, autocast: Autocast = nullcontext, sharded: bool = False,
    ) -> None:  # fmt: skip
        draw = keyed_rng(seed, "kl")
        self._texts = []
        for prompt, answers in draw.sample(questions, min(n_answers, len(questions))):
            answer = draw.choice(answers)
            places = sorted(draw.sample(range(len(answer)), min(n_places, len(answer))))
            # The token at a position is predicted from the one before it; the last answer token is never an input.
            columns = torch.tensor([len(prompt) - 1 + place for place in places])
            self._texts.append((torch.tensor([[*prompt, *answer[:-1]]]), columns))
        self._model, self._times, self._autocast = model, times, autocast
        self._base = [] if sharded else list(self._log_probabilities())
        self._found: dict[int, float] = {0: 0.0}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep the log-probabilities of the base, if they could not be measured before sharding."""
        if self._base:
            return
        if state.global_step == 0:
            self._base = list(self._log_probabilities())
        elif hasattr(self._model, "disable_adapter"):
            with self._model.disable_adapter():
                self._base = list(self._log_probabilities())

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure at about ``times`` steps, and after the last one."""
        every = math.ceil(state.max_steps / self._times)
        if self._base and (state.global_step % every == 0 or state.global_step == state.max_steps):
            self._found[state.global_step] = self.measure()
            control.should_log = True

    def at(self, step: int) -> Mapping[str, float]:
        """``kl``, in nats per token, if it was measured after this step."""
        return {"kl": self._found[step]} if step in self._found else {}

    def measure(self) -> float:
        """Compute the current divergence, in nats per token."""
        sums, count = 0.0, 0
        for base, now in zip(self._base, self._log_probabilities(), strict=True):
            sums += float((now.exp() * (now - base)).sum())
            count += len(now)
        return max(0.0, sums / count)

    def _log_probabilities(self) -> Iterator[Tensor]:
        """Log-probabilities at the positions of each answer. Shape [positions, vocabulary]."""
        with eval_mode(self._model), self._autocast():
            score, device = scorer(self._model), unwrap(self._model).device
            for ids, columns in self._texts:
                logits = score(input_ids=ids.to(device), answer_positions=columns.to(device))
                yield logits.float().log_softmax(dim=-1)
