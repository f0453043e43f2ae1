"""Removal of what a reasoning model writes before its answer.

Servers without a parser for reasoning, and models in this process, return it inside the reply: between ``<think>`` tags
(DeepSeek-R1, Qwen3, QwQ and others; some chat templates open the block themselves, so that only the closing tag is left),
or in a channel of the Harmony format (gpt-oss). It is no part of what an agent says.
"""

from __future__ import annotations

import re

_TAGS = "think|thinking|thought|thoughts|reasoning"
_BLOCK = re.compile(rf"<({_TAGS})>.*?</\1>", re.DOTALL | re.IGNORECASE)
_CLOSED = re.compile(rf"^.*</(?:{_TAGS})>", re.DOTALL | re.IGNORECASE)
_OPEN = re.compile(rf"<(?:{_TAGS})>.*$", re.DOTALL | re.IGNORECASE)
_FINAL = "<|channel|>final<|message|>"
_CHANNEL = re.compile(r"<\|channel\|>(?:analysis|commentary)\b.*$", re.DOTALL)
_PLAIN_CHANNEL = re.compile(r"^analysis.*?assistantfinal", re.DOTALL)  # decoded without special tokens
_SPECIAL = re.compile(r"<\|(?:end|return|start)\|>.*$", re.DOTALL)

THOUGHTS_ALONE = (
    "the reply holds the model's reasoning and no answer; give it more tokens, as --set max_tokens=512, or turn its "
    "reasoning off"
)


def without_thoughts(text: str) -> str:
    """The part of a reply that follows the model's reasoning; empty if there is none.

    A text without reasoning is returned as it is.
    """
    if _FINAL in text:
        return _SPECIAL.sub("", text.rpartition(_FINAL)[2]).strip()
    if "<" not in text and not text.startswith("analysis"):
        return text
    answer = _PLAIN_CHANNEL.sub("", text)
    answer = _BLOCK.sub("", answer)
    answer = _CLOSED.sub("", answer)
    answer = _OPEN.sub("", answer)
    answer = _CHANNEL.sub("", answer)
    return text if answer == text else answer.strip()


def has_thoughts_alone(text: str) -> bool:
    """Whether a reply has text, and none of it follows the model's reasoning."""
    return bool(text.strip()) and not without_thoughts(text)
