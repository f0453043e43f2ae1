"""What to make of a try that failed: whether another may not, and how long to wait before it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from sandbox.models.base import Request
from sandbox.models.remote.http_client import Answer
from sandbox.models.remote.openai_schema import refusal
from sandbox.seeding import keyed_rng

_BUSY = (408, 409, 425, 429)  # beside all of 5xx
_REFUSING = (400, 403, 422)
_SHORTEST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0


class Failed(Exception):
    """One try failed.

    Attributes:
        transient: Whether another may not.
        overloaded: Whether the server has too much to do.
        wait_s: How long it asks to be left alone.
        said: What it said, where it refused the request for what it is.
    """

    def __init__(
        self, words: str, *, transient: bool, overloaded: bool = False, wait_s: float = 0.0, said: str = ""
    ) -> None:
        super().__init__(words)
        self.transient, self.overloaded, self.wait_s, self.said = transient, overloaded, wait_s, said


def spent(failed: Failed, tries: int, seconds: float) -> str:
    """What was done about a failure before it was taken for final."""
    if not failed.transient:
        return ""
    asked = f", and the server asks to wait {failed.wait_s:.0f} s" if failed.wait_s else ""
    return f" ({tries} {'try' if tries == 1 else 'tries'} in {seconds:.1f} s{asked})"


def failure(answer: Answer) -> Failed:
    """What an answer that is no success means for the next try."""
    said, code = refusal(answer.body)
    words = f"HTTP {answer.status}: {said}"
    if answer.status in range(300, 400):
        return Failed(f"HTTP {answer.status}: the server sends on to another address; use that", transient=False)
    # A quota that is used up comes with the same number as a rate that is too high, and does not come back soon.
    is_busy = (answer.status in _BUSY or answer.status >= 500) and code != "insufficient_quota"
    if answer.status in _REFUSING:
        return Failed(words, transient=False, said=said)
    return Failed(words, transient=is_busy, overloaded=is_busy, wait_s=asked_wait_s(answer.headers))


def asked_wait_s(headers: Mapping[str, str]) -> float:
    """How long the server asks to be left alone, in seconds; 0 where it does not say."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        return max(0.0, float(headers.get("retry-after", 0)))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(headers["retry-after"]) - datetime.now(UTC)).total_seconds())
    except (KeyError, TypeError, ValueError):
        return 0.0


def backoff_s(request: Request, tries: int) -> float:
    """How long to wait after so many tries: twice as long each time, and never all requests alike."""
    longest = min(_LONGEST_WAIT_S, _SHORTEST_WAIT_S * 2 ** (tries - 1))
    return longest * keyed_rng(request.key(), "retry", tries).uniform(0.5, 1.0)
