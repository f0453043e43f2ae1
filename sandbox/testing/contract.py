"""The error of a failed contract check: the plugin, the requirement, what was found, and how to fix it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sandbox.errors import SandboxError


class BrokenPromise(AssertionError):
    """A plugin violates the contract of its kind; test runners count it as a failed assertion."""


@dataclass(frozen=True)
class Promises:
    """Checks the contract of one plugin.

    Attributes:
        who: The plugin, for example ``trainer 'sft'``.
    """

    who: str

    def broken(self, promise: str, found: str, fix: str) -> BrokenPromise:
        """Return the error of a violated requirement."""
        return BrokenPromise(f"{self.who} violates the contract: {promise}\n  found: {found}\n  fix:   {fix}")

    def hold(self, kept: object, promise: str, found: str, fix: str) -> None:
        """Raise unless ``kept`` is true.

        Raises:
            BrokenPromise: ``kept`` is false.
        """
        if not kept:
            raise self.broken(promise, found, fix)

    @contextmanager
    def work(self, promise: str, fix: str) -> Iterator[None]:
        """Turn any exception raised inside into a violation.

        Raises:
            BrokenPromise: an exception was raised.
        """
        try:
            yield
        except BrokenPromise:
            raise
        except Exception as error:
            raise self.broken(promise, f"{type(error).__name__}: {error}", fix) from error

    @contextmanager
    def refuse(self, kind: type[SandboxError], promise: str, fix: str, words: str = "") -> Iterator[None]:
        """Require that the code inside raises ``kind``, with ``words`` in its message.

        Raises:
            BrokenPromise: nothing was raised, or another exception.
        """
        try:
            yield
        except kind as error:
            self.hold(words in str(error), promise, f"{kind.__name__} without the words {words!r}: {error}", fix)
        except Exception as error:
            raise self.broken(promise, f"{type(error).__name__}: {error}", fix) from error
        else:
            raise self.broken(promise, "nothing was raised", fix)


def called(kind: str, plugin: object) -> Promises:
    """Return the checks of a plugin given by name or as an object.

    Args:
        kind: For example ``trainer``.
        plugin: A name, a class, a function or an object.
    """
    name = plugin if isinstance(plugin, str) else getattr(plugin, "__name__", None) or type(plugin).__name__
    return Promises(f"{kind} {name!r}")
