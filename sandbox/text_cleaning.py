"""Text of models, servers and data made safe for where it goes: UTF-8, terminals, XML and spreadsheets."""

from __future__ import annotations

import re
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
# Control characters of ASCII and Latin-1, without tab and line feed, and the marks that turn the direction of a line.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# https://www.w3.org/TR/xml/#charsets
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def without_surrogates(text: str) -> str:
    """Replace halves of surrogate pairs, which UTF-8 cannot encode, by U+FFFD."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def printable(text: str) -> str:
    r"""Show control characters, which could rewrite a terminal, as ``\x1b`` or ``\u009b``; keep tabs and line ends.

    JSON stays JSON with the same value.
    """
    text = without_surrogates(text.replace("\r\n", "\n"))
    return _CONTROL.sub(lambda found: _escape(ord(found.group())), text)


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x20 else f"\\u{code:04x}"


def without_control_characters(text: str) -> str:
    """Leave out the characters that XML cannot contain."""
    return _NOT_XML.sub("", text)


def plain_cell(value: Any) -> Any:
    """A value of a CSV cell; a text that a spreadsheet would read as a formula begins with an apostrophe."""
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return "'" + value
    return value
