"""One way to turn a conversation into the text a model reads, used for talking and for training alike.

A model with a chat template is spoken to in it; a model without one in the instruction format of Stanford
Alpaca (https://github.com/tatsu-lab/stanford_alpaca, section "Data Release").
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.models.base import Message

_ALPACA = "Below is an instruction that describes a task. Write a response that appropriately completes the request."

# The same as a template, for tokenizers that are to carry it; newlines stand in expressions, where Jinja keeps them.
_ALPACA_TEMPLATE = (
    "{{ bos_token if bos_token is defined and bos_token else '' }}"
    "{{ messages | selectattr('role', 'equalto', 'system') | map(attribute='content') | join(' ') or "
    + json.dumps(_ALPACA)
    + " }}{% for turn in messages if turn['role'] != 'system' %}"
    "{{ '\\n\\n### Instruction:\\n' if turn['role'] == 'user' else '\\n\\n### Response:\\n' }}{{ turn['content'] }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '\\n\\n### Response:\\n' }}{% endif %}"
)
_LEAD = re.compile(r"\{% if add_generation_prompt %\}\{\{ (\"(?:[^\"\\]|\\.)*\") \}\}\{# lead #\}\{% endif %\}$")


def template_name(tokenizer: Any) -> str:
    """``chat`` for a tokenizer with a chat template of its own, else ``alpaca``."""
    return "chat" if getattr(tokenizer, "chat_template", None) else "alpaca"


def render(tokenizer: Any, messages: Sequence[Message | Mapping[str, str]], prefix: str = "") -> str:
    """The text a model continues to give its reply.

    Args:
        tokenizer: A Hugging Face tokenizer.
        messages: The conversation, ending with a user's turn.
        prefix: Text the reply must start with; the model continues after it.

    Returns:
        A prompt that holds its own special tokens: tokenize it with ``add_special_tokens=False``.
    """
    turns = [m._asdict() if isinstance(m, Message) else dict(m) for m in messages]
    if template_name(tokenizer) == "chat":
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return str(text) + prefix
    system = [m["content"] for m in turns if m["role"] == "system"]
    talk = [m for m in turns if m["role"] != "system"]
    heads = {"user": "### Instruction:", "assistant": "### Response:"}
    body = "\n\n".join(f"{heads[m['role']]}\n{m['content']}" for m in talk)
    start = tokenizer.bos_token or ""
    return f"{start}{' '.join(system) or _ALPACA}\n\n{body}\n\n### Response:\n{prefix}"


def end_of_turn(tokenizer: Any) -> str:
    """The token that ends a reply; training appends it, so that a model learns to stop."""
    return str(tokenizer.eos_token)


def add_lead(tokenizer: Any, words: str) -> None:
    """Let every reply begin behind some words, which count as the prompt's and not as the reply's.

    They become the end of the chat template, which is saved with the tokenizer; a tokenizer without one gets Alpaca's
    format as its own. So every tool that renders prompts by the template puts them there.

    Args:
        tokenizer: A Hugging Face tokenizer; it is changed.
        words: What the reply begins behind, with the white space after it.
    """
    without_lead(tokenizer)
    template = tokenizer.get_chat_template() if template_name(tokenizer) == "chat" else _ALPACA_TEMPLATE
    # Jinja drops a newline at a template's end, but not in its middle.
    template = template.removesuffix("\n")
    tokenizer.chat_template = (
        f"{template}{{% if add_generation_prompt %}}{{{{ {json.dumps(words)} }}}}{{# lead #}}{{% endif %}}"
    )


def without_lead(tokenizer: Any) -> None:
    """Take back what :func:`add_lead` did; a tokenizer without such words stays as it is."""
    if isinstance(tokenizer.chat_template, str):
        tokenizer.chat_template = _LEAD.sub("", tokenizer.chat_template)
