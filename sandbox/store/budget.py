"""Caps on the calls, tokens and dollars of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sandbox.errors import SettingsError
from sandbox.models.base import Reply

# US dollars per million tokens read and written, and of those read from a server's prefix cache, where they cost less.
Prices = tuple[float, float] | tuple[float, float, float]


class CapReached(Exception):
    """Another call would exceed a cap; the conversations in progress cannot end."""


def cost(prices: Prices, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
    """Cost of tokens, in US dollars.

    Args:
        prices: US dollars per million tokens.
        prompt_tokens: Tokens read, cached ones too.
        completion_tokens: Tokens written.
        cached_tokens: Tokens read from a server's prefix cache.
    """
    cached = prices[2] if len(prices) > 2 else prices[0]
    fresh = prompt_tokens - cached_tokens
    return (prices[0] * fresh + cached * cached_tokens + prices[1] * completion_tokens) / 1e6


class CallBudget:
    """Counts calls and tokens, and keeps them within caps.

    A cap is enforced twice. A conversation starts only if it can end within the caps together with those in progress,
    so that a society stops between conversations, with every interaction whole. Should a protocol make more calls than
    were reserved for it, no call is made over the cap: :meth:`start_call` raises :class:`CapReached` instead.

    Args:
        max_calls: Cap on calls, over all resumptions of the run.
        max_tokens_total: Cap on tokens read and written. Tokens are known only when a call is done, so that the calls in
            progress may exceed it.
        max_cost: Cap in US dollars, counting models that have prices. Calls in progress may exceed it too.

    Attributes:
        counts: ``calls``, ``prompt`` and ``completion`` tokens so far; ``cached``, the prompt tokens that servers read
            from their prefix caches, if any; and ``usd``, where a model has prices.
        reserves: Whether conversations start only if they can end within the caps. Without it one may be stopped in its middle:
            for runs most of whose calls are in the record already.

    Raises:
        SettingsError: a cap is not positive.
    """

    def __init__(
        self, *, max_calls: int | None = None, max_tokens_total: int | None = None, max_cost: float | None = None
    ) -> None:
        for name, count in (("max_calls", max_calls), ("max_tokens_total", max_tokens_total)):
            if count is not None and count < 1:
                raise SettingsError(f"{name}={count} must be at least 1")
        if max_cost is not None and not max_cost > 0:
            raise SettingsError(f"max_cost={max_cost} must be more than 0, in US dollars")
        self.max_calls, self.max_tokens, self.max_cost = max_calls, max_tokens_total, max_cost
        self.counts: dict[str, Any] = {"calls": 0, "prompt": 0, "completion": 0}
        self.reserves = True
        self.reset()

    def check_prices(self, models: Iterable[object]) -> None:
        """Refuse a cap in dollars where no model has prices.

        Raises:
            SettingsError: there is such a cap, and no model has prices.
        """
        if self.max_cost is not None and all(getattr(model, "prices", None) is None for model in models):
            raise SettingsError(
                f"max_cost={self.max_cost:g} US dollars cannot be enforced: no model has prices. Set them, in dollars per "
                "million tokens: --set model.price_prompt=0.15 --set model.price_completion=0.6"
            )

    def resume(self, counts: Mapping[str, Any]) -> None:
        """Continue from the counts of a run that was made before."""
        self.counts = dict(counts)
        self.reset()

    @property
    def is_capped(self) -> bool:
        """Whether there is any cap."""
        return not (self.max_calls is self.max_tokens is self.max_cost is None)

    @property
    def tokens(self) -> int:
        """Tokens read and written so far."""
        return int(self.counts["prompt"] + self.counts["completion"])

    @property
    def usd(self) -> float:
        """Cost of the calls so far, in US dollars, of models that have prices."""
        return float(self.counts.get("usd", 0.0))

    def share(self, spent: Mapping[str, Any] | None) -> None:
        """Take what other work has left of the caps: its counts; and reserve nothing, for most calls may be in the record."""
        self.reserves, spent = False, spent or {"prompt": 0, "completion": 0}
        if self.max_calls is not None:
            self.max_calls = max(0, self.max_calls - spent.get("calls", 0))
        if self.max_tokens is not None:
            self.max_tokens = max(0, self.max_tokens - spent["prompt"] - spent["completion"])
        if self.max_cost is not None:
            self.max_cost = max(0.0, self.max_cost - spent.get("usd", 0.0))

    def start_call(self) -> None:
        """Count a call that is about to be made.

        Raises:
            CapReached: it would exceed a cap.
        """
        if self.max_calls is not None and self._started >= self.max_calls:
            raise CapReached
        if self.max_tokens is not None and self.tokens >= self.max_tokens:
            raise CapReached
        if self.max_cost is not None and self.usd >= self.max_cost:
            raise CapReached
        self._started += 1

    def count(self, model: object, reply: Reply) -> None:
        """Count a finished call, with its tokens and its cost; failed calls too."""
        self.counts["calls"] += 1
        self.counts["prompt"] += reply.prompt_tokens
        self.counts["completion"] += reply.completion_tokens
        if reply.cached_tokens:
            self.counts["cached"] = self.counts.get("cached", 0) + reply.cached_tokens
        prices = getattr(model, "prices", None)
        if prices is not None:
            used = (reply.prompt_tokens, reply.completion_tokens, reply.cached_tokens)
            self.counts["usd"] = self.usd + cost(prices, *used)

    def reset(self) -> None:
        """Drop all reservations: no conversation is in progress."""
        # Upper bounds: calls of conversations that ended, of those started since, and of those still in progress.
        self._over, self._begun, self._reserved = self.counts["calls"], 0, 0
        self._started = self.counts["calls"]

    def allows(self, calls: int) -> bool:
        """Whether a conversation of at most ``calls`` calls can end within the caps, together with those in progress."""
        if not self.reserves:
            return True
        # Both bound the total number of calls; the first is tighter while many conversations are in progress.
        expected = min(self._over + self._begun, self.counts["calls"] + self._reserved) + calls
        if self.max_calls is not None and expected > self.max_calls:
            return False
        # Known only when a call is done: the amount so far, and its cap.
        spent = [(n, cap) for n, cap in ((self.tokens, self.max_tokens), (self.usd, self.max_cost)) if cap is not None]
        if not self.counts["calls"]:
            return not (spent and self._reserved)  # the first conversation shows what a call takes
        return all(n * expected / self.counts["calls"] <= cap for n, cap in spent)

    def reserve(self, calls: int) -> None:
        """Reserve calls for a conversation that starts."""
        self._begun += calls
        self._reserved += calls

    def release(self, calls: int) -> None:
        """Release the calls reserved for a conversation that ended."""
        self._reserved -= calls
        if not self._reserved:
            self.reset()
