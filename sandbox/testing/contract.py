"""How a broken promise is told: whose it is, what was promised, what was found, how to mend it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sandbox.errors import SandboxError


class BrokenPromise(AssertionError):
    """A plugin does not do what its kind promises; test runners count it as a failed assertion."""


@dataclass(frozen=True)
class Promises:
    """The promises of one plugin.

    Attributes:
        who: As ``trainer 'sft'``.
    """

    who: str

    def broken(self, promise: str, found: str, mend: str) -> BrokenPromise:
        """The error that tells of a broken promise."""
        return BrokenPromise(f"{self.who} breaks a promise: {promise}\n  found: {found}\n  mend:  {mend}")

    def hold(self, kept: object, promise: str, found: str, mend: str) -> None:
        """Raise unless ``kept`` is true.

        Raises:
            BrokenPromise: it is not.
        """
        if not kept:
            raise self.broken(promise, found, mend)

    @contextmanager
    def work(self, promise: str, mend: str) -> Iterator[None]:
        """Whatever is raised inside breaks the promise.

        Raises:
            BrokenPromise: something was raised.
        """
        try:
            yield
        except BrokenPromise:
            raise
        except Exception as error:
            raise self.broken(promise, f"{type(error).__name__}: {error}", mend) from error

    @contextmanager
    def refuse(self, kind: type[SandboxError], promise: str, mend: str, words: str = "") -> Iterator[None]:
        """What is done inside must raise ``kind``, with ``words`` in its message.

        Raises:
            BrokenPromise: nothing was raised, or something else.
        """
        try:
            yield
        except kind as error:
            self.hold(words in str(error), promise, f"{kind.__name__} without the words {words!r}: {error}", mend)
        except Exception as error:
            raise self.broken(promise, f"{type(error).__name__}: {error}", mend) from error
        else:
            raise self.broken(promise, "nothing was raised", mend)


def called(kind: str, plugin: object) -> Promises:
    """The promises of a plugin that was given by name, or as an object.

    Args:
        kind: As ``trainer``.
        plugin: A name, a class, a function or an object.
    """
    name = plugin if isinstance(plugin, str) else getattr(plugin, "__name__", None) or type(plugin).__name__
    return Promises(f"{kind} {name!r}")
