"""Episodes of a society by a model in training, and the log-probabilities of what it said in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sandbox.environment.environment import SocietyEnv
from sandbox.environment.episode import Episode, Observation
from sandbox.models.base import Reply
from sandbox.models.local.chat_template import end_of_turn, render
from sandbox.models.local.choice_scoring import scored_rows, separator
from trainers.likelihood.answer_nll import eval_mode
from trainers.likelihood.tokenization import Encoder

_SEQUENCES = 32  # in a batch


@dataclass(frozen=True, slots=True)
class Sample:
    """An action of the model in training, as ids.

    Attributes:
        prompt: Ids of the prompt, with the beginning that the reply had to have.
        answers: Ids of the reply; where there were choices, of each of them.
        chosen: Number of the one that was drawn.
        temperature: At which the tokens of a text were drawn, above 0; a choice is drawn at 1.
    """

    prompt: list[int]
    answers: list[list[int]]
    chosen: int
    temperature: float


@dataclass(frozen=True, slots=True)
class Played:
    """An episode, with the samples of its turns, in their order."""

    episode: Episode
    samples: list[Sample]


class Rollouts:
    """Plays episodes with a model in training.

    Texts are drawn from the whole vocabulary at the temperature of the society, choices by the probabilities of their tokens.

    Args:
        model: The model in training, patched by :func:`trainers.likelihood.answer_nll.add_answer_nll`.
        encoder: Turns prompts and choices into ids.
        env: The environment; copies of it are played.
    """

    def __init__(self, model: Any, encoder: Encoder, env: SocietyEnv) -> None:
        self._model, self._encoder, self._env = model, encoder, env
        tokenizer = encoder.tokenizer
        end = end_of_turn(tokenizer)
        self._end = tokenizer.convert_tokens_to_ids(end) if end else None
        self._pad = tokenizer.pad_token_id

    def play(self, seeds: Sequence[int], draw_seed: int) -> list[Played]:
        """Play one episode for each seed of a society, in lockstep; equal seeds differ by what the model draws.

        Args:
            seeds: Seeds of societies.
            draw_seed: Seed of what the model draws.
        """
        envs = [self._env.copy() for _ in seeds]
        samples: list[list[Sample]] = [[] for _ in seeds]
        devices = [self._model.device] if self._model.device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices=devices), eval_mode(self._model):
                torch.manual_seed(draw_seed)
                waiting = [env.reset(seed) for env, seed in zip(envs, seeds, strict=True)]
                while any(waiting):
                    drawn = iter(self._act([one for observed in waiting for one in observed]))
                    for number, env in enumerate(envs):
                        if waiting[number]:
                            own = [next(drawn) for _ in waiting[number]]
                            samples[number] += [sample for sample, _ in own]
                            waiting[number] = env.step([reply for _, reply in own])[0]
            return [Played(env.episode, own) for env, own in zip(envs, samples, strict=True)]
        finally:
            for env in envs:
                env.close()

    def _act(self, observations: Sequence[Observation]) -> list[tuple[Sample, Reply]]:
        found: dict[int, tuple[Sample, Reply]] = {}
        texts: dict[float, list[tuple[int, list[int]]]] = {}
        choosing: list[tuple[int, Sample]] = []
        for number, one in enumerate(observations):
            request = one.request
            if request.choices:
                choosing.append((number, self._choice(one)))
            else:
                prompt, _ = self._encoder.encode(one.messages, [], request.prefix.rstrip(" "))
                texts.setdefault(request.temperature, []).append((number, prompt))
        for number, sample, log_probs in self._choices(choosing):
            chosen = int(torch.multinomial(log_probs.exp(), 1))
            option = observations[number].choices[chosen]
            probs = {choice: float(choice == option) for choice in observations[number].choices}
            reply = Reply(option, probs, len(sample.prompt))
            found[number] = (Sample(sample.prompt, sample.answers, chosen, 1.0), reply)
        for temperature, rows in texts.items():
            for start in range(0, len(rows), _SEQUENCES):
                batch = rows[start : start + _SEQUENCES]
                limits = [observations[number].request.max_tokens for number, _ in batch]
                for (number, prompt), ids, limit in zip(
                    batch, self._write([p for _, p in batch], limits, temperature), limits, strict=True
                ):
                    is_whole = bool(ids) and ids[-1] == self._end
                    text = self._encoder.tokenizer.decode(ids, skip_special_tokens=True).strip()
                    reply = Reply(
                        text, None, len(prompt), len(ids), "stop" if is_whole or len(ids) < limit else "length"
                    )
                    found[number] = (Sample(prompt, [ids], 0, temperature), reply)
        return [found[number] for number in range(len(observations))]

    def _choice(self, observation: Observation) -> Sample:
        """The ids of a prompt and its choices, as a society's own model scores them; a prompt that is too long is cut."""
        request, tokenizer = observation.request, self._encoder.tokenizer
        text = render(tokenizer, request.messages, request.prefix)
        endings = [separator(request.prefix, choice) + choice for choice in request.choices]
        whole = [tokenizer(text + ending, add_special_tokens=False)["input_ids"] for ending in endings]
        if max(map(len, whole)) >= self._encoder.max_length:
            return Sample(*self._encoder.encode(observation.messages, endings, request.prefix), 0, 1.0)
        rows = scored_rows(whole, self._end)
        head = rows[0].ids[: len(rows[0].ids) - len(rows[0].endings[0]) + 1]
        return Sample([*head], [[*ending] for row in rows for ending in row.endings], 0, 1.0)

    def _choices(self, rows: Sequence[tuple[int, Sample]]) -> Iterator[tuple[int, Sample, Tensor]]:
        for start in range(0, len(rows), _SEQUENCES):
            batch = rows[start : start + _SEQUENCES]
            scored = sample_log_probs(self._model, [sample for _, sample in batch], self._pad)
            for (number, sample), of_options in zip(batch, scored.options, strict=True):
                yield number, sample, of_options.cpu()

    def _write(self, prompts: Sequence[list[int]], limits: Sequence[int], temperature: float) -> list[list[int]]:
        """Ids of texts that continue prompts, with the token that ends them, if they end."""
        width = max(map(len, prompts))
        ids = torch.tensor([[self._pad] * (width - len(one)) + one for one in prompts], device=self._model.device)
        mask = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in prompts], device=self._model.device)
        drawn: dict[str, Any] = {"do_sample": False}
        if temperature > 0:
            drawn = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        written = self._model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=max(limits), pad_token_id=self._pad,
            eos_token_id=self._end, use_cache=True, **drawn,
        )  # fmt: skip
        found = []
        for row, limit in zip(written[:, width:].tolist(), limits, strict=True):
            kept = row[:limit]
            found.append(kept[: kept.index(self._end) + 1] if self._end in kept else kept)
        return found


@dataclass(frozen=True, slots=True)
class LogProbs:
    """Log-probabilities of samples, in nats.

    Attributes:
        actions: Of each action: of a choice, its own; of a text, the mean over its tokens. Shape [samples].
        options: Of each choice, those of all options, shape [options]; empty for texts.
    """

    actions: Tensor
    options: list[Tensor]


def sample_log_probs(model: Any, samples: Sequence[Sample], pad: int) -> LogProbs:
    """Log-probabilities of actions, at the temperature at which they were drawn.

    Args:
        model: A model patched by :func:`trainers.likelihood.answer_nll.add_answer_nll`.
        samples: At least one; their answers have at least one token each.
        pad: Id that fills rows up.
    """
    rows = [row for sample in samples for row in sequences_of(sample)]
    width = max(map(len, rows))
    ids = [row + [pad] * (width - len(row)) for row in rows]
    mask = [[1] * len(row) + [0] * (width - len(row)) for row in rows]
    positions: list[int] = []  # of the logits, in the flattened rows
    seen: list[int] = []  # number of the position that predicts each target
    targets: list[int] = []
    warmth: list[float] = []
    first = 0
    for sample in samples:
        last = len(sample.prompt) - 1
        if is_one_sequence(sample):
            seen += [len(positions)] * len(sample.answers)
            positions.append(first + last)
            warmth.append(sample.temperature if sample.temperature > 0 else 1.0)
            targets += [token for [token] in sample.answers]
            first += width
            continue
        for answer in sample.answers:
            seen += range(len(positions), len(positions) + len(answer))
            positions += range(first + last, first + last + len(answer))
            warmth += [sample.temperature if sample.temperature > 0 else 1.0] * len(answer)
            targets += answer
            first += width
    place = {"device": model.device}
    logits = model(
        input_ids=torch.tensor(ids, **place),
        attention_mask=torch.tensor(mask, **place),
        answer_positions=torch.tensor(positions, **place),
    )  # [positions, vocabulary]
    logits = logits.float() / torch.tensor(warmth, **place)[:, None]
    where = torch.tensor(seen, **place)
    found = logits[where, torch.tensor(targets, **place)] - logits.logsumexp(1)[where]  # [tokens]
    per_answer = iter(found.split([len(answer) for sample in samples for answer in sample.answers]))
    actions, options = [], []
    for sample in samples:
        own = [next(per_answer) for _ in sample.answers]
        if len(own) == 1:
            actions.append(own[0].mean())
            options.append(own[0].new_zeros(0))
        else:
            of_options = torch.stack([one.sum() for one in own]).log_softmax(0)
            actions.append(of_options[sample.chosen])
            options.append(of_options)
    return LogProbs(torch.stack(actions), options)


def is_one_sequence(sample: Sample) -> bool:
    """Whether the model reads a sample once, for all its answers are single tokens behind the same prompt."""
    return all(len(answer) == 1 for answer in sample.answers)


def sequences_of(sample: Sample) -> list[list[int]]:
    """What the model reads to score the answers of a sample: the prompt, and of each longer answer all but its last token."""
    if is_one_sequence(sample):
        return [sample.prompt]
    return [sample.prompt + answer[:-1] for answer in sample.answers]


def in_batches(samples: Sequence[tuple[Sample, float]], size: int) -> Iterator[list[tuple[Sample, float]]]:
    """Divide weighted samples into batches of at most ``size`` sequences, but at least one sample."""
    batch: list[tuple[Sample, float]] = []
    sequences = 0
    for one in samples:
        more = len(sequences_of(one[0]))
        if batch and sequences + more > size:
            yield batch
            batch, sequences = [], 0
        batch.append(one)
        sequences += more
    if batch:
        yield batch


def group_advantages(returns: Sequence[float], *, scale: bool = True) -> list[float]:
    """Advantages of the episodes of a group: returns without their mean, by their standard deviation (arXiv:2402.03300).

    Args:
        returns: Of the episodes of one group, at least two.
        scale: Whether to divide by the standard deviation; arXiv:2503.20783 does not.
    """
    values = torch.tensor(returns, dtype=torch.float64)
    centred = values - values.mean()
    return [float(one) for one in (centred / (values.std() + 1e-4) if scale else centred)]
