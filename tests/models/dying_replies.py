"""Replies that kill the process they are given in; in a file of its own, since every copy of the model loads it.

The folder that ``DYING_REPLIES`` names says what has happened already.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from sandbox.models.base import Request


def reply(request: Request) -> str:
    """Say what was asked; the first copy that meets ``die once``, and every one that meets ``die``, dies."""
    said = request.messages[-1].content
    if said == "die":
        os._exit(1)
    if said == "die once":
        mark = Path(os.environ["DYING_REPLIES"]) / "died"
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            pass
        else:
            os._exit(1)
    if said == "raise":
        raise ValueError("no words for it")
    return f"{said}!"


def slow(request: Request) -> str:
    """Say what was asked, after a while; leave a file that says who said it."""
    time.sleep(0.05)
    where = Path(os.environ["DYING_REPLIES"]) / f"{os.getpid()}"
    where.touch()
    return f"{request.messages[-1].content}!"
