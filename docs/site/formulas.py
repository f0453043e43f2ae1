"""LaTeX between dollars as MathML, which browsers show without a script or a network.

In Markdown a formula is code, so that nothing in it is read as Markdown; in the page it becomes MathML. Only pages of trainers,
which are made from docstrings, have formulas; elsewhere a dollar is a dollar.
"""

from __future__ import annotations

import html
import re

from latex2mathml.converter import convert


def marked(text: str) -> str:
    """Turn ``$...$`` and ``$$...$$`` of a docstring into code of Markdown, each on one line.

    Raises:
        ValueError: a dollar has no partner.
    """
    blocks = re.sub(r"\$\$(.+?)\$\$", lambda found: f"\n\n`$${_one_line(found[1])}$$`\n\n", text, flags=re.DOTALL)
    inline = re.sub(r"(?<![$`])\$([^$\n]+)\$(?![$`])", r"`$\1$`", blocks)
    if re.sub(r"`\$\$?[^$`]+\$\$?`", "", inline).count("$"):
        raise ValueError(f"a dollar without a partner in: {text!r}")
    return inline


def drawn(page: str) -> str:
    """Turn what :func:`marked` made into MathML, in the HTML of a page.

    Raises:
        ValueError: a formula cannot be read.
    """
    page = re.sub(r"<p><code>\$\$([^<$]+)\$\$</code></p>", lambda found: mathml(html.unescape(found[1]), "block"), page)
    return re.sub(r"<code>\$([^<$]+)\$</code>", lambda found: mathml(html.unescape(found[1]), "inline"), page)


def mathml(latex: str, display: str) -> str:
    """A formula as an element ``math``, shown as ``block`` or ``inline``.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        found = convert(_one_line(latex), display=display)
    except Exception as error:
        raise ValueError(f"formula {latex!r} cannot be read: {error!r}") from error
    if "\\" in found or latex.count("{") != latex.count("}"):
        raise ValueError(f"formula {latex!r} cannot be read: a command is unknown, or a brace is missing")
    return found.replace("<mi>log</mi>", '<mo lspace="0.17em" rspace="0.17em">log</mo>')


def _one_line(text: str) -> str:
    return " ".join(text.split())
