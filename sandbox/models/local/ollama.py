"""Modelfile for Ollama, with the model's own chat format.

Ollama does not read Jinja chat templates: the text around each turn is found by rendering a conversation.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.models.local.chat_template import end_of_turn, render

_MARKS = ("zqazq", "zqbzq", "zqczq", "zqdzq")


@dataclass(frozen=True)
class TurnFormat:
    """The text around turns.

    Attributes:
        start: At the beginning of every conversation.
        no_system: After it, if there is no system message.
        system: Before and after a system message.
        user: Before a user turn.
        assistant: Before and after an earlier reply.
        reply: Before the next reply.
    """

    start: str
    no_system: str
    system: tuple[str, str]
    user: str
    assistant: tuple[str, str]
    reply: str

    def render(self, messages: Sequence[dict[str, str]]) -> str:
        """Render a conversation, as Ollama does with :meth:`go`."""
        around = {"system": self.system, "user": (self.user, ""), "assistant": self.assistant}
        turns = "".join(message["content"].join(around[message["role"]]) for message in messages)
        return self.start + ("" if messages[0]["role"] == "system" else self.no_system) + turns + self.reply

    def go(self) -> str:
        """The format as a Go template for Ollama."""
        without = f"{{{{ if not .System }}}}{self.no_system}{{{{ end }}}}" if self.no_system else ""
        return (
            f"{self.start}{without}{{{{ range .Messages }}}}"
            f'{{{{ if eq .Role "system" }}}}{"{{ .Content }}".join(self.system)}'
            f'{{{{ else if eq .Role "user" }}}}{self.user}{{{{ .Content }}}}'
            f'{{{{ else if eq .Role "assistant" }}}}{"{{ .Content }}".join(self.assistant)}'
            f"{{{{ end }}}}{{{{ end }}}}{self.reply}"
        )


def modelfile(tokenizer: Any) -> str:
    """Return the content of a Modelfile for a model folder.

    Args:
        tokenizer: Tokenizer of the model.
    """
    found = turn_format(tokenizer)
    lines = (
        [
            "# In this model's chat template a turn depends on more than its role: write a TEMPLATE by hand.",
            "FROM .",
        ]
        if found is None
        else ["FROM .", f'TEMPLATE """{found.go()}"""']
    )
    end = end_of_turn(tokenizer)
    stop = [f"PARAMETER stop {json.dumps(end, ensure_ascii=False)}"] if end else []
    return "\n".join([*lines, *stop, ""])


def turn_format(tokenizer: Any) -> TurnFormat | None:
    """Return the text around turns; None if it does not depend on roles alone.

    Args:
        tokenizer: A Hugging Face tokenizer.
    """
    system, first, answer, second = _MARKS
    talk = [
        {"role": "user", "content": first},
        {"role": "assistant", "content": answer},
        {"role": "user", "content": second},
    ]
    try:
        texts = [render(tokenizer, given) for given in ([{"role": "system", "content": system}, *talk], talk, talk[:1])]
    except Exception:  # a template is a program, and may raise any error
        return None
    if any(texts[0].count(mark) != 1 for mark in _MARKS):
        return None
    before_system, rest = texts[0].split(system)
    system_user, rest = rest.split(first)
    before_answer, rest = rest.split(answer)
    answer_user, reply = rest.split(second)
    head = texts[1].partition(first)[0]
    # The boundary between turns is found from the text that precedes every user turn.
    user = _common_end(system_user, answer_user, head)
    plain = head.removesuffix(user)
    start = plain if before_system.startswith(plain) else ""
    found = TurnFormat(
        start=start,
        no_system="" if before_system.startswith(plain) else plain,
        system=(before_system.removeprefix(start), system_user.removesuffix(user)),
        user=user,
        assistant=(before_answer, answer_user.removesuffix(user)),
        reply=reply,
    )
    ours = [found.render([{"role": "system", "content": system}, *talk]), found.render(talk), found.render(talk[:1])]
    unwritable = any(word in text.replace("{{ .Content }}", "") for text in [head, *texts] for word in ('"""', "{{"))
    return None if ours != texts or unwritable else found


def _common_end(*texts: str) -> str:
    shortest = min(texts, key=len)
    for start in range(len(shortest) + 1):
        if all(text.endswith(shortest[start:]) for text in texts):
            return shortest[start:]
    return ""
