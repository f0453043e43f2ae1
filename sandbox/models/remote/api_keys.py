"""API keys of servers: read from the environment, kept only in memory, removed from all messages."""

from __future__ import annotations

import os
import re

from sandbox.errors import SettingsError

_FORM = re.compile(r"\b(?:sk-|Bearer\s+)[^\s'\",]+")
_READ: set[str] = set()
_LONG = 12  # characters of a key that no other text contains by chance


def read_key(variable: str) -> str:
    """Read the key in an environment variable, or an empty text; :func:`scrubbed` removes it from then on."""
    key = os.environ.get(variable, "").strip()
    if len(key) > 3:
        _READ.add(key)
    return key


def check_key_variable(variable: str, default: str) -> None:
    """Refuse the name of an environment variable that was given and is not set.

    Its text is not repeated: it may be the key itself.

    Raises:
        SettingsError: there is no such variable.
    """
    if variable != default and not os.environ.get(variable, "").strip():
        if len(variable) > 3:
            _READ.add(variable)
        raise SettingsError(
            "key_env names an environment variable that is not set; its text is not repeated here, because it may be the "
            "key itself. Give the name of a variable that holds the key: export MY_KEY=..., then key_env=MY_KEY"
        )


def scrubbed_keys(text: str) -> str:
    """Remove all keys read in this process from a text: keys of 12 or more characters also inside words."""
    for key in sorted(_READ, key=len, reverse=True):
        if key in text:
            whole = re.escape(key) if len(key) >= _LONG else rf"(?<!\w){re.escape(key)}(?!\w)"
            text = re.sub(whole, "[key]", text)
    return text


def scrubbed(text: str) -> str:
    """Remove all keys read in this process from a message, also a key that was cut, and everything that looks like a key."""
    text = scrubbed_keys(text)
    for key in _READ:
        if key[:_LONG] in text and len(key) > _LONG:
            cut = next(key[:n] for n in range(len(key), 0, -1) if key[:n] in text)
            text = text.replace(cut, "[key]")
    return _FORM.sub("[key]", text)
