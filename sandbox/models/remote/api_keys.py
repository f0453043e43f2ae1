"""Keys of servers: read from the environment, kept in memory alone, and taken out of whatever is said to anybody."""

from __future__ import annotations

import os
import re

_FORM = re.compile(r"\b(?:sk-|Bearer\s+)[^\s'\",]+")
_READ: set[str] = set()


def read_key(variable: str) -> str:
    """The key that an environment variable holds, or an empty text; from now on :func:`scrubbed` knows it."""
    key = os.environ.get(variable, "").strip()
    if len(key) > 3:
        _READ.add(key)
    return key


def scrubbed(text: str) -> str:
    """A text without any key that was read in this process, whoever it is for, and without what looks like one."""
    for key in sorted(_READ, key=len, reverse=True):
        if key in text:
            text = re.sub(rf"(?<!\w){re.escape(key)}(?!\w)", "[key]", text)
    return _FORM.sub("[key]", text)
