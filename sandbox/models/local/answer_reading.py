"""Hidden states of the bundled model over answers: what it makes of a text behind its question, and of the text alone.

The first layers of SmolLM2-135M-Instruct suffice: judges learn from states, not from likelihoods. Several answers are
packed into one sequence behind their question, which is read once; a mask keeps them from seeing each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sandbox.errors import require_packages

if TYPE_CHECKING:
    import torch

LAYERS = 14
_MAX_QUESTION = 320  # tokens; of a longer question the end is read
_MAX_ANSWER = 224  # tokens; of a longer answer the beginning is read
_PACK = 640  # tokens of one sequence at most, unless a single answer needs more
_REMEMBERED = 16_384  # answers, whose states take 5 KB each
_VERSION = 1  # of this file's way of reading; part of the fingerprint


@dataclass(frozen=True)
class States:
    """Mean hidden states of answers' tokens.

    Attributes:
        behind: Behind their questions. Shape [answers, dim].
        alone: Without a question. Shape [answers, dim].
    """

    behind: NDArray[np.float32]
    alone: NDArray[np.float32]


class AnswerReader:
    """Reads answers with the first layers of the bundled language model, each once while it is remembered.

    It computes in bfloat16 where the processor multiplies it natively, else in float32.

    Attributes:
        dim: Length of a state.
        fingerprint: Of the weights and of the way of reading, for caches.

    Raises:
        ModelNotFound: the bundled model is not installed.
        ToolNotFound: torch or transformers is not installed.
    """

    def __init__(self, layers: int = LAYERS) -> None:
        require_packages("reading answers with the bundled model", "torch", "transformers")
        import torch

        from sandbox.models.local.bundled import BUNDLED
        from sandbox.models.local.fingerprint import fingerprint
        from sandbox.models.local.loading import load

        native = bool(torch.cpu._is_avx512_bf16_supported())
        self._dtype = torch.bfloat16 if native else torch.float32
        loaded = load(BUNDLED, device="cpu", dtype="bfloat16" if native else "float32", attn_implementation="sdpa")
        self._model: Any = loaded.model.model
        self._model.layers = self._model.layers[:layers]
        self._model.norm = torch.nn.Identity()
        self._tokenizer = loaded.tokenizer
        self.dim = int(self._model.config.hidden_size)
        self.fingerprint = f"answer-states-{_VERSION} {fingerprint(loaded.folders)} {layers} {self._dtype}"
        self._opening = self._ids("<|im_start|>assistant\n")
        self._known: dict[tuple[str, str], tuple[NDArray[np.float32], NDArray[np.float32]]] = {}

    def read(self, items: Sequence[tuple[str, str]]) -> States:
        """Mean states of answers.

        Args:
            items: (question, answer) pairs. An answer without a token has states of zeros.
        """
        fresh = [item for item in dict.fromkeys(items) if item not in self._known]
        if len(self._known) + len(fresh) > _REMEMBERED:
            self._known.clear()
            fresh = list(dict.fromkeys(items))
        states = self._read_fresh(fresh)
        self._known |= dict(zip(fresh, zip(states.behind, states.alone, strict=True), strict=True))
        found = [self._known[item] for item in items]
        empty = np.zeros((0, self.dim), np.float32)
        return (
            States(np.stack([one for one, _ in found]), np.stack([one for _, one in found]))
            if found
            else States(empty, empty)
        )

    def _read_fresh(self, items: Sequence[tuple[str, str]]) -> States:
        behind = np.zeros((len(items), self.dim), np.float32)
        alone = np.zeros((len(items), self.dim), np.float32)
        answers = [self._ids(answer.strip())[:_MAX_ANSWER] for _, answer in items]
        by_question: dict[str, list[int]] = {}
        for row, (question, _) in enumerate(items):
            if answers[row]:
                by_question.setdefault(question, []).append(row)
        for question, rows in by_question.items():
            asked = self._ids(f"<|im_start|>user\n{question}<|im_end|>\n")[-_MAX_QUESTION:] + self._opening
            self._read_behind(asked, rows, answers, behind)
        different: dict[tuple[int, ...], list[int]] = {}
        for row, answer in enumerate(answers):
            if answer:
                different.setdefault(tuple(answer), []).append(row)
        firsts = [rows[0] for rows in different.values()]
        self._read_behind(self._opening, firsts, answers, alone)
        for first, *others in different.values():
            alone[others] = alone[first]
        return States(behind, alone)

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _read_behind(
        self, prefix: list[int], rows: Sequence[int], answers: Sequence[list[int]], into: NDArray[np.float32]
    ) -> None:
        """Read answers behind one prefix, as many at once as a sequence holds."""
        pack: list[int] = []
        length = len(prefix)
        for row in rows:
            if pack and length + len(answers[row]) > _PACK:
                self._read_pack(prefix, pack, answers, into)
                pack, length = [], len(prefix)
            pack.append(row)
            length += len(answers[row])
        if pack:
            self._read_pack(prefix, pack, answers, into)

    def _read_pack(
        self, prefix: list[int], rows: Sequence[int], answers: Sequence[list[int]], into: NDArray[np.float32]
    ) -> None:
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
            states = self._states(torch.tensor([ids]), torch.tensor([places]), seen)
        for number, row in enumerate(rows, 1):
            into[row] = states[parts == number].mean(0).numpy()

    def _states(self, ids: torch.Tensor, places: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        import torch

        mask = torch.zeros(seen.shape, dtype=self._dtype).masked_fill(~seen, torch.finfo(self._dtype).min)
        out = self._model(input_ids=ids, position_ids=places, attention_mask=mask[None, None], use_cache=False)
        return out.last_hidden_state[0].float()
