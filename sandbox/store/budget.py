"""Prices of tokens, and the signal that a cap was reached."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.errors import SettingsError


class CapReached(Exception):
    """Another call would go over a cap; the conversations under way cannot end."""


Prices = tuple[float, float]  # US dollars for a million tokens read, and written


def cost(prices: Prices, prompt_tokens: int, completion_tokens: int) -> float:
    """What tokens cost, in US dollars."""
    return (prices[0] * prompt_tokens + prices[1] * completion_tokens) / 1e6


def check_prices(max_cost: float | None, models: Iterable[object]) -> None:
    """Refuse a cap on money where nothing is known of it.

    Raises:
        SettingsError: there is a cap, and no model says what a token costs.
    """
    if max_cost is not None and all(getattr(model, "prices", None) is None for model in models):
        raise SettingsError(
            f"max_cost={max_cost:g} US dollars cannot be kept to: no model says what a token costs. Set it, in dollars for "
            "a million tokens: --set model.price_prompt=0.15 --set model.price_completion=0.6"
        )
