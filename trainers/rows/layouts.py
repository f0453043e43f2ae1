"""Layouts in which data sets are shared -> columns of a row kind, and whole conversations -> a prompt and one answer.

What cannot be used is named by a reason, which callers count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from trainers.rows.kinds import COLUMNS, RowKind, kind_of

Message: TypeAlias = "Mapping[str, Any]"

# Columns that a row of any kind may have beside those of its kind.
EXTRA_COLUMNS = ("part", "question", "scale", "gap", "rating", "count")
# Speakers of transcripts (Anthropic's HH-RLHF) and of ShareGPT's conversations.
_SPEAKERS = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
# Names of the completion in layouts of instructions (Alpaca).
_COMPLETIONS = ("output", "response")
_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant):")


def convert_layout(row: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """Rename and combine the columns of a known layout.

    Known are ``system`` beside a prompt, ``question`` or ``instruction`` and ``input`` for the prompt, ``output`` and
    ``response`` for the completion, ``messages`` and ShareGPT's ``conversations`` for a whole demonstration, and texts that
    are transcripts (``Human: ... Assistant: ...``).

    Args:
        row: As it stands in the file.

    Returns:
        The row with the columns of a kind, if its layout is known, and the names of the columns that were not used.
    """
    found = {name: value for name, value in row.items() if value is not None}
    unused: set[str] = set()
    talk = found.get("messages", found.get("conversations"))
    if isinstance(talk, list) and kind_of(found) in (None, RowKind.PROMPTS) and not _has_answers(found):
        found.pop("prompt", None)
        found["completion"] = [_as_message(turn) for turn in talk]
        found["prompt"] = []
        found.pop("messages", None)
        found.pop("conversations", None)
    if "prompt" not in found and (_has_answers(found) or any(name in found for name in _COMPLETIONS)):
        for names in (("instruction", "input"), ("question",)):
            texts = [found[name] for name in names if isinstance(found.get(name), str) and found[name].strip()]
            if texts:
                found["prompt"] = "\n\n".join(texts)
                for name in names:
                    found.pop(name, None)
                break
    if "prompt" in found and not _has_answers(found):
        for name in _COMPLETIONS:
            if isinstance(found.get(name), str):
                found["completion"] = found.pop(name)
                break
    for name in ("prompt", "chosen", "rejected", "completion"):
        if isinstance(found.get(name), str):
            found[name] = _transcript(found[name]) or found[name]
    if "prompt" not in found and isinstance(found.get("chosen"), list) and isinstance(found.get("rejected"), list):
        found["prompt"] = []
    system = found.get("system")
    if isinstance(system, str) and "prompt" in found:
        found.pop("system")
        if system.strip():
            found["prompt"] = _with_system(system, found["prompt"])
    kind = kind_of(found)
    if kind is not None:
        unused = {name for name in found if name not in (*COLUMNS[kind], *EXTRA_COLUMNS)}
    return found, unused


def _has_answers(row: Mapping[str, Any]) -> bool:
    return any(name in row for name in ("completions", "chosen", "rejected", "completion"))


def _as_message(turn: Any) -> Any:
    """A turn of ShareGPT, ``{"from": "human", "value": ...}``, as a message; others as they are."""
    if isinstance(turn, Mapping) and "from" in turn and "value" in turn:
        speaker = turn["from"]
        return {
            "role": _SPEAKERS.get(speaker, speaker) if isinstance(speaker, str) else speaker,
            "content": turn["value"],
        }
    return turn


def _transcript(text: str) -> list[dict[str, str]] | None:
    """The turns of ``Human: ... Assistant: ...``; None if a text is no transcript. An empty last turn is an open one."""
    parts = _TURN.split(text.lstrip("\n") if text.lstrip().startswith("Human:") else text)
    if parts[0].strip() or len(parts) < 3 or parts[1] != "Human":
        return None
    speakers, said = parts[1::2], [words.strip() for words in parts[2::2]]
    if len(speakers) < 2:
        return None
    if not said[-1]:
        speakers, said = speakers[:-1], said[:-1]
    return [{"role": _SPEAKERS[who.lower()], "content": words} for who, words in zip(speakers, said, strict=True)]


def _with_system(system: str, prompt: Any) -> Any:
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    if not isinstance(turns, list) or any(isinstance(turn, Mapping) and turn.get("role") == "system" for turn in turns):
        return prompt
    return [{"role": "system", "content": system}, *turns]


def as_messages(given: str | Sequence[Message], role: str) -> list[dict[str, str]]:
    """A text, or messages, as messages with role and content alone."""
    turns: Sequence[Message] = [{"role": role, "content": given}] if isinstance(given, str) else given
    return [{"role": turn["role"], "content": turn["content"]} for turn in turns]


def split_conversation(row: Mapping[str, Any], kind: RowKind) -> dict[str, Any] | str:
    """Split the conversations of a row into a prompt that ends with a user turn and answers of one turn.

    What the sides of a pair share from their beginning belongs to the prompt, and so do the earlier turns of a completion.

    Args:
        row: With the columns of its kind; prompt and answers are texts or messages.
        kind: Of the row.

    Returns:
        The columns ``prompt`` and, by kind, ``chosen`` and ``rejected``, or ``completion``, as messages; or the reason
        why the row cannot be used.
    """
    prompt = as_messages(row["prompt"], "user")
    sides = [name for name in ("chosen", "rejected", "completion") if name in COLUMNS[kind]]
    whole = [_joined(prompt, as_messages(row[name], "assistant")) for name in sides]
    if any(turns is None for turns in whole):
        return "rows whose answer does not continue their prompt"
    talks = [turns for turns in whole if turns is not None]
    if any(not turn["content"].strip() for turn in (*prompt, *(turn for turns in talks for turn in turns))):
        return "rows with an empty turn"
    if not sides:
        return {"prompt": prompt} if _asks(prompt) else "rows whose prompt does not end with a user turn"
    if any(turns[-1]["role"] != "assistant" for turns in talks):
        return "rows that do not end with an assistant turn"
    shared = min(map(len, talks)) - 1
    first = talks[0]
    while shared and any(turns[:shared] != first[:shared] for turns in talks):
        shared -= 1
    if any(len(turns) > shared + 1 for turns in talks):
        return "pairs that differ before their last turn"
    if not _asks(first[:shared]):
        return "rows whose answer does not follow a user turn"
    return {"prompt": first[:shared], **{name: turns[shared:] for name, turns in zip(sides, talks, strict=True)}}


def _asks(turns: Sequence[Message]) -> bool:
    return bool(turns) and turns[-1]["role"] == "user"


def _joined(prompt: list[dict[str, str]], answer: list[dict[str, str]]) -> list[dict[str, str]] | None:
    """A prompt and its answer as one conversation; None if the answer is one that begins otherwise.

    An answer may hold the whole conversation, with its prompt (UltraFeedback).
    """
    if not answer:
        return None
    asked = [turn for turn in prompt if turn["role"] != "system"]
    talk = [turn for turn in answer if turn["role"] != "system"]
    if [_key(turn) for turn in talk[: len(asked)]] == [_key(turn) for turn in asked]:
        return answer if len(talk) < len(answer) else [*(turn for turn in prompt if turn["role"] == "system"), *answer]
    return None if answer[0]["role"] != "assistant" else [*prompt, *answer]


def _key(turn: Message) -> tuple[str, str]:
    return turn["role"], turn["content"].strip()
