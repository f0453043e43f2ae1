"""What the bundled model makes of answers: hidden states behind their question, and how much likelier it makes them.

The first layers of SmolLM2-135M-Instruct suffice to tell kinds of text; whether a text answers its question is told by all
layers. Several answers are packed into one sequence behind their question, which is read once; a mask keeps them from seeing
each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sandbox.errors import require_packages

if TYPE_CHECKING:
    import torch

LAYERS = 14
LATE = 28
_MAX_QUESTION = 320  # tokens; of a longer question the end is read
_MAX_ANSWER = 224  # tokens; of a longer answer the beginning is read
_PACK = 640  # tokens of one sequence at most, unless a single answer needs more
_REMEMBERED = 8_192  # answers, whose states take 7 KB each
_VERSION = 2  # of this file's way of reading; part of the fingerprint


@dataclass(frozen=True)
class Reading:
    """What was read of answers. An answer without a token has zeros.

    Attributes:
        states: Mean hidden states of the answer's tokens behind the question, after :data:`LAYERS` layers. Shape
            [answers, dim].
        alone: Mean states of the answer's tokens without a question, after :data:`LATE` layers. Shape [answers, dim].
        asked: Mean states of the question's tokens after :data:`LATE` layers. Shape [answers, dim].
        gains: How much likelier the answer is behind the question than without one: difference of the mean
            log-likelihoods of its tokens, in nats. Shape [answers].
        tokens: Tokens of the answer. Shape [answers].
    """

    states: NDArray[np.float32]
    alone: NDArray[np.float32]
    asked: NDArray[np.float32]
    gains: NDArray[np.float32]
    tokens: NDArray[np.float32]

    def at(self, rows: Any) -> Reading:
        """The reading of some answers."""
        return Reading(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass
class _Read:
    """One answer behind one prefix."""

    states: Any
    late: Any = None
    asked: Any = None
    likelihood: float = 0.0


class AnswerReader:
    """Reads answers with the bundled language model, each once while it is remembered.

    It computes in bfloat16 where the processor multiplies it natively, else in float32.

    Attributes:
        dim: Length of a state.
        fingerprint: Of the weights and of the way of reading, for caches.

    Raises:
        ModelNotFound: the bundled model is not installed.
        ToolNotFound: torch or transformers is not installed.
    """

    def __init__(self) -> None:
        require_packages("reading answers with the bundled model", "torch", "transformers")
        import torch

        from sandbox.models.local.bundled import BUNDLED
        from sandbox.models.local.fingerprint import fingerprint
        from sandbox.models.local.loading import load

        native = bool(torch.cpu._is_avx512_bf16_supported())
        self._dtype = torch.bfloat16 if native else torch.float32
        loaded = load(BUNDLED, device="cpu", dtype="bfloat16" if native else "float32", attn_implementation="sdpa")
        self._model: Any = loaded.model.model
        self._norm, self._head = self._model.norm, loaded.model.lm_head
        self._layers = self._model.layers
        self._early, self._late = min(LAYERS, len(self._layers)), min(LATE, len(self._layers))
        self._model.norm = torch.nn.Identity()
        self._tokenizer = loaded.tokenizer
        self.dim = int(self._model.config.hidden_size)
        self.fingerprint = f"answers-{_VERSION} {fingerprint(loaded.folders)} {LAYERS} {LATE} {self._dtype}"
        self._start, self._end = self._ids("<|im_start|>user\n"), self._ids("<|im_end|>\n")
        self._opening = self._ids("<|im_start|>assistant\n")
        self._known: dict[tuple[str, str], Reading] = {}

    def read(self, items: Sequence[tuple[str, str]]) -> Reading:
        """Read (question, answer) pairs with all layers."""
        fresh = [item for item in dict.fromkeys(items) if item not in self._known]
        if len(self._known) + len(fresh) > _REMEMBERED:
            self._known.clear()
            fresh = list(dict.fromkeys(items))
        read = self._read_fresh(fresh)
        self._known |= {item: read.at([row]) for row, item in enumerate(fresh)}
        known = [self._known[item] for item in items] or [_empty(0, self.dim)]
        return Reading(*(np.concatenate([getattr(one, field.name) for one in known]) for field in fields(Reading)))

    def read_states(self, items: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """The states of (question, answer) pairs alone, by the first layers. Shape [items, dim]."""
        different = list(dict.fromkeys(items))
        found = np.zeros((len(different), self.dim), np.float32)
        for row, one in self._behind_questions(different, self._answers(different), whole=False).items():
            found[row] = one.states
        rows = {item: row for row, item in enumerate(different)}
        return found[[rows[item] for item in items]]

    def _read_fresh(self, items: Sequence[tuple[str, str]]) -> Reading:
        found = _empty(len(items), self.dim)
        answers = self._answers(items)
        for row, one in self._behind_questions(items, answers, whole=True).items():
            found.states[row], found.asked[row] = one.states, one.asked
            found.gains[row], found.tokens[row] = one.likelihood, len(answers[row])
        different: dict[tuple[int, ...], list[int]] = {}
        for row, answer in enumerate(answers):
            if answer:
                different.setdefault(tuple(answer), []).append(row)
        firsts = [rows[0] for rows in different.values()]
        for row, one in self._behind(self._opening, firsts, answers, whole=True).items():
            same = different[tuple(answers[row])]
            found.alone[same] = one.late
            found.gains[same] -= one.likelihood
        return found

    def _answers(self, items: Sequence[tuple[str, str]]) -> list[list[int]]:
        return [self._ids(answer.strip())[:_MAX_ANSWER] for _, answer in items]

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _behind_questions(
        self, items: Sequence[tuple[str, str]], answers: Sequence[list[int]], *, whole: bool
    ) -> dict[int, _Read]:
        by_question: dict[str, list[int]] = {}
        for row, (question, _) in enumerate(items):
            if answers[row]:
                by_question.setdefault(question, []).append(row)
        found: dict[int, _Read] = {}
        for question, rows in by_question.items():
            asked = self._start + self._ids(question)[-_MAX_QUESTION:] + self._end
            found |= self._behind(asked + self._opening, rows, answers, whole=whole)
        return found

    def _behind(
        self, prefix: list[int], rows: Sequence[int], answers: Sequence[list[int]], *, whole: bool
    ) -> dict[int, _Read]:
        """Read answers behind one prefix, as many at once as a sequence holds."""
        found: dict[int, _Read] = {}
        pack: list[int] = []
        length = len(prefix)
        for row in rows:
            if pack and length + len(answers[row]) > _PACK:
                found |= self._read_pack(prefix, pack, answers, whole=whole)
                pack, length = [], len(prefix)
            pack.append(row)
            length += len(answers[row])
        return found | self._read_pack(prefix, pack, answers, whole=whole) if pack else found

    def _read_pack(
        self, prefix: list[int], rows: Sequence[int], answers: Sequence[list[int]], *, whole: bool
    ) -> dict[int, _Read]:
        import torch

        ids = list(prefix)
        places = list(range(len(prefix)))
        part = [0] * len(prefix)
        for number, row in enumerate(rows, 1):
            ids += answers[row]
            places += range(len(prefix), len(prefix) + len(answers[row]))
            part += [number] * len(answers[row])
        parts = torch.tensor(part)
        order = torch.arange(len(ids))
        seen = (order[:, None] >= order[None, :]) & ((parts[:, None] == parts[None, :]) | (parts[None, :] == 0))
        with torch.inference_mode():
            layers = len(self._layers) if whole else self._early
            hidden = self._states(torch.tensor([ids]), torch.tensor([places]), seen, layers)
            found = {row: _Read(hidden[self._early][parts == n].mean(0).numpy()) for n, row in enumerate(rows, 1)}
            if whole:
                # Of a prefix without a question, the mean of nothing: zeros.
                end = max(len(prefix) - len(self._end) - len(self._opening), 0)
                question = hidden[self._late][len(self._start) : end]
                asked = question.sum(0).numpy() / max(len(question), 1)
                for number, row in enumerate(rows, 1):
                    one, at = found[row], (parts == number).nonzero()[:, 0]
                    one.late, one.asked = hidden[self._late][at].mean(0).numpy(), asked
                    one.likelihood = self._likelihood(hidden[-1], len(prefix) - 1, at, answers[row])
        return found

    def _likelihood(self, last: torch.Tensor, before: int, at: torch.Tensor, answer: list[int]) -> float:
        """Mean log-likelihood of the tokens at some places, of which the first stands behind the place ``before``."""
        import torch

        states = last[torch.cat([torch.tensor([before]), at[:-1]])]
        logits = self._head(self._norm(states.to(self._dtype))).float()
        chosen = logits.log_softmax(-1)[torch.arange(len(answer)), torch.tensor(answer)]
        return float(chosen.mean())

    def _states(self, ids: torch.Tensor, places: torch.Tensor, seen: torch.Tensor, layers: int) -> list[torch.Tensor]:
        """States before the first layer and after each. Each of shape [tokens, dim]."""
        import torch

        mask = torch.zeros(seen.shape, dtype=self._dtype).masked_fill(~seen, torch.finfo(self._dtype).min)
        self._model.layers = self._layers[:layers]
        out = self._model(
            input_ids=ids, position_ids=places, attention_mask=mask[None, None], use_cache=False,
            output_hidden_states=True,
        )  # fmt: skip
        return [states[0].float() for states in out.hidden_states]


def _empty(n: int, dim: int) -> Reading:
    states, alone, asked = (np.zeros((n, dim), np.float32) for _ in range(3))
    return Reading(states, alone, asked, np.zeros(n, np.float32), np.zeros(n, np.float32))
