"""Conversations for models whose chat template knows only a user and an assistant who take turns.

Knows no templates and no servers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sandbox.models.base import Message

# What is done instead, for messages.
PLAIN_ROLES = "system messages are put before the first user turn, and turns of one speaker in a row are joined"
# What templates say of conversations that they refuse; servers repeat it.
_REFUSED_ROLES = re.compile(
    r"system\W+(role|message|prompt|turn)s?\b.{0,40}(support|allow|accept|permit|invalid|unknown|unrecogni)|"
    r"(support|allow|accept|permit)\w*\W+(the )?\W*(system|developer)\b|roles? must alternate|"
    r"(unknown|invalid|unexpected|unsupported) (message )?role|only (the )?user(,| and) (assistant|model)|"
    r"(must|should) (start|begin) with .{0,20}\buser\b|consecutive (user|assistant)",
    re.IGNORECASE,
)


def refuses_roles(said: str) -> bool:
    """Whether the message of a template or a server is about the roles of a conversation or their order."""
    return _REFUSED_ROLES.search(said) is not None


def plain_roles(messages: Sequence[Message | Mapping[str, str]]) -> list[dict[str, str]]:
    """Write a conversation with a user and an assistant who take turns, the user first; no words are lost.

    System messages are put before the first user turn, after an empty line; turns of one speaker in a row become one; a
    conversation that begins with the assistant gets a user turn before it, which is empty if there are no system messages.

    Args:
        messages: The conversation.

    Returns:
        Messages with the roles ``user`` and ``assistant``.
    """
    turns = [dict(m._asdict() if isinstance(m, Message) else m) for m in messages]
    system = [turn["content"] for turn in turns if turn["role"] == "system"]
    found: list[dict[str, str]] = [{"role": "user", "content": "\n\n".join(system)}]
    for turn in turns:
        if turn["role"] == "system":
            continue
        if turn["role"] == found[-1]["role"]:
            said = [found[-1]["content"], turn["content"]]
            found[-1]["content"] = "\n\n".join(words for words in said if words)
        else:
            found.append({"role": turn["role"], "content": turn["content"]})
    return found
