"""List prices of models on servers, in US dollars per million tokens, as the package genai-prices knows them.

The package brings a table with it, so no price is fetched; a newer version of it has newer prices.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address
from urllib.parse import urlsplit

# Kinds of models on servers, and what share of the list price their tokens cost.
SHARES = {"openai": 1.0, "openai-batch": 0.5}
_TOKENS = 1_000  # of a short call: some models cost more per token in long ones
_PER = 1e6 / _TOKENS


@cache
def list_prices(name: str, url: str) -> tuple[float, float, float] | None:
    """Prices of a model at the vendor whose server has this address.

    Args:
        name: As the server knows it.
        url: The server's base URL.

    Returns:
        US dollars per million tokens read, written, and read from the vendor's prefix cache; None for servers of one's
        own, vendors and models that are not listed, and where the package is not installed.
    """
    if not _is_public(url):
        return None
    try:
        from genai_prices import Usage, calc_price
    except ImportError:
        return None
    try:
        plain = calc_price(Usage(input_tokens=_TOKENS, output_tokens=_TOKENS), model_ref=name, provider_api_url=url)
        kept = calc_price(Usage(input_tokens=_TOKENS, cache_read_tokens=_TOKENS), model_ref=name, provider_api_url=url)
    except (LookupError, ValueError):
        return None
    return (
        round(float(plain.input_price) * _PER, 6),
        round(float(plain.output_price) * _PER, 6),
        round(float(kept.input_price) * _PER, 6),
    )


def uri_prices(uri: str) -> tuple[float, float, float] | None:
    """List prices of a model by its URI; half of them for a batch API, and None where none are known."""
    from sandbox.models.remote.openai import split_rest

    kind, _, rest = uri.partition(":")
    listed = list_prices(*split_rest(rest)) if kind in SHARES else None
    return None if listed is None else (listed[0] * SHARES[kind], listed[1] * SHARES[kind], listed[2] * SHARES[kind])


def is_served(uri: str) -> bool:
    """Whether a model is on a server, so that its calls may cost something."""
    return uri.partition(":")[0] in SHARES


def price_list() -> str:
    """Name and version of the table of prices; empty where it is not installed."""
    try:
        return f"genai-prices {version('genai-prices')}"
    except PackageNotFoundError:
        return ""


def _is_public(url: str) -> bool:
    """Whether an address can be a vendor's: a name with a dot, not an IP address."""
    host = urlsplit(url).hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return "." in host and not host.endswith((".local", ".internal", ".lan"))
    return False
