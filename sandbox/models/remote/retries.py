"""Retries of failed requests: which failures are transient, and how long to wait."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from sandbox.models.base import Request
from sandbox.models.plain_roles import refuses_roles
from sandbox.models.remote.http_client import Answer
from sandbox.models.remote.openai_schema import refusal
from sandbox.seeding import keyed_rng

_BUSY = (408, 409, 425, 429)  # in addition to all 5xx
_REFUSING = (400, 403, 422)
_SHORTEST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0


class Failed(Exception):
    """A try failed.

    Attributes:
        transient: Whether a retry may succeed.
        overloaded: Whether the server is overloaded.
        wait_s: Delay requested by the server, in seconds.
        said: Message of the server, if it rejected the request itself.
    """

    def __init__(
        self, words: str, *, transient: bool, overloaded: bool = False, wait_s: float = 0.0, said: str = ""
    ) -> None:
        super().__init__(words)
        self.transient, self.overloaded, self.wait_s, self.said = transient, overloaded, wait_s, said


def attempts_text(failed: Failed, tries: int, seconds: float) -> str:
    """The number and duration of tries before a failure became final, for messages."""
    if not failed.transient:
        return ""
    asked = f", and the server asks to wait {failed.wait_s:.0f} s" if failed.wait_s else ""
    return f" ({tries} {'try' if tries == 1 else 'tries'} in {seconds:.1f} s{asked})"


def failure(answer: Answer) -> Failed:
    """Classify an HTTP response that is not a success."""
    said, code = refusal(answer.body)
    words = f"HTTP {answer.status}: {said}"
    if answer.status in range(300, 400):
        return Failed(f"HTTP {answer.status}: the server redirects to another address; use that", transient=False)
    # An exhausted quota has the status of a rate limit, but a retry does not help.
    is_busy = (answer.status in _BUSY or answer.status >= 500) and code != "insufficient_quota"
    # Some servers answer 500 when a chat template refuses a conversation.
    if answer.status in _REFUSING or (answer.status == 500 and refuses_roles(said)):
        return Failed(words, transient=False, said=said)
    return Failed(words, transient=is_busy, overloaded=is_busy, wait_s=asked_wait_s(answer.headers))


def asked_wait_s(headers: Mapping[str, str]) -> float:
    """Delay requested by the server, in seconds; 0 if it requests none."""
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
    """Delay after a number of tries: exponential backoff with jitter, seeded by the request."""
    longest = min(_LONGEST_WAIT_S, _SHORTEST_WAIT_S * 2 ** (tries - 1))
    return longest * keyed_rng(request.key(), "retry", tries).uniform(0.5, 1.0)
