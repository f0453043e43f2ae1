"""Finished calls of an evaluation, in a file, so that an interrupted one repeats none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sandbox.conversation.call_file import CallFile
from sandbox.conversation.steps import Call
from sandbox.errors import CostCapReached, RunExists, SettingsError
from sandbox.folders import refuse_link
from sandbox.models.base import Reply
from sandbox.models.remote.prices import is_served
from sandbox.store.budget import Prices, cost

FILE = "calls.jsonl"


class EvaluationCallLog(CallFile):
    """The finished calls in the folder of an evaluation.

    Args:
        folder: Of the evaluation.
        resume: Go on with what is there.
        max_cost: Cap on the cost of calls to models on servers, in US dollars, over all resumptions; None for no cap. The cost
            is known only when a call is done, so that the calls in progress may exceed it.
        prices: US dollars per million tokens read and written, of every model on a server.

    Attributes:
        usd: Cost of the calls so far, in US dollars.

    Raises:
        SettingsError: there is a cap that is not positive, or no prices.
        RunExists: something is there, and ``resume`` was not given.
    """

    def __init__(
        self, folder: Path, *, resume: bool = False, max_cost: float | None = None, prices: Prices | None = None
    ) -> None:
        path = refuse_link(folder / FILE)
        if max_cost is not None and not max_cost > 0:
            raise SettingsError(f"max_cost={max_cost} must be more than 0, in US dollars")
        if max_cost is not None and prices is None:
            raise SettingsError(
                f"max_cost={max_cost:g} US dollars cannot be enforced: no model has prices. Set them, in dollars per million "
                "tokens: --set model.price_prompt=0.15 --set model.price_completion=0.6"
            )
        if path.exists() and not resume:
            raise RunExists(
                f"{folder} holds an evaluation that was interrupted; continue it with --resume, or choose another --out"
            )
        super().__init__(path)
        self._folder, self._max_cost, self._prices = folder, max_cost, prices or (0.0, 0.0)
        kept = [reply for key, reply in self._known.items() if is_served(key)]
        self.usd = sum(cost(self._prices, reply.prompt_tokens, reply.completion_tokens) for reply in kept)
        self._finished, self._pending = len(kept), 0

    def recall(self, call: Call) -> Reply | None:
        """What the call returned before, if it did.

        Raises:
            CostCapReached: it has to be made, and would exceed the cap together with those in progress.
        """
        known = super().recall(call)
        if known is not None or self._max_cost is None or not is_served(call.model.uri):
            return known
        mean = self.usd / self._finished if self._finished else 0.0
        if self.usd >= self._max_cost or self.usd + self._pending * mean >= self._max_cost:
            raise CostCapReached(
                f"stopped by --max-cost {self._max_cost:g}; finished calls are kept: continue with --resume --out "
                f"{self._folder} and a higher cap"
            )
        self._pending += 1
        return None

    def record(self, finished: Sequence[tuple[Call, Reply]]) -> None:
        """Take what calls returned, to be kept by the next :meth:`flush`; failed calls cost, too."""
        super().record(finished)
        paid = [reply for call, reply in finished if is_served(call.model.uri)]
        self.usd += sum(cost(self._prices, reply.prompt_tokens, reply.completion_tokens) for reply in paid)
        self._finished += len(paid)
        self._pending -= len(paid)
