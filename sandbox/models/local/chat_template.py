"""Conversation -> prompt text, for generation and training alike.

Uses the chat template of the tokenizer, or without one the instruction format of Stanford Alpaca
(https://github.com/tatsu-lab/stanford_alpaca, section "Data Release").
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.errors import ChatTemplateError
from sandbox.models.base import Message
from sandbox.models.plain_roles import plain_roles

_ALPACA = "Below is an instruction that describes a task. Write a response that appropriately completes the request."

# The same as a Jinja template, to be saved with tokenizers; newlines are inside expressions, where Jinja keeps them.
_ALPACA_TEMPLATE = (
    "{{ bos_token if bos_token is defined and bos_token else '' }}"
    "{{ messages | selectattr('role', 'equalto', 'system') | map(attribute='content') | join(' ') or "
    + json.dumps(_ALPACA)
    + " }}{% for turn in messages if turn['role'] != 'system' %}"
    "{{ '\\n\\n### Instruction:\\n' if turn['role'] == 'user' else '\\n\\n### Response:\\n' }}{{ turn['content'] }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '\\n\\n### Response:\\n' }}{% endif %}"
)
# Words of conversations by which a template is tried; no template contains them.
_SYSTEM, _ASKED, _REPLY = "zqsystemqz", "zqaskedqz", "zqreplyqz"
_LEAD = re.compile(r"\{% if add_generation_prompt %\}\{\{ (\"(?:[^\"\\]|\\.)*\") \}\}\{# lead #\}\{% endif %\}$")


def template_name(tokenizer: Any) -> str:
    """``chat`` for a tokenizer with its own chat template, else ``alpaca``."""
    return "chat" if getattr(tokenizer, "chat_template", None) else "alpaca"


def render(tokenizer: Any, messages: Sequence[Message | Mapping[str, str]], prefix: str = "") -> str:
    """Render the prompt that a model continues with its reply.

    Args:
        tokenizer: A Hugging Face tokenizer.
        messages: The conversation, ending with a user turn.
        prefix: Required beginning of the reply; appended to the prompt.

    Returns:
        A prompt that contains its special tokens: tokenize it with ``add_special_tokens=False``. Where a chat template
        refuses or drops system messages, or refuses the order of turns, it is given :func:`plain_roles`.

    Raises:
        ChatTemplateError: the template refuses the conversation either way.
    """
    turns = [m._asdict() if isinstance(m, Message) else dict(m) for m in messages]
    if template_name(tokenizer) == "chat":
        return _rendered(tokenizer, turns, reply=True)[0] + prefix
    system = [m["content"] for m in turns if m["role"] == "system"]
    talk = [m for m in turns if m["role"] != "system"]
    heads = {"user": "### Instruction:", "assistant": "### Response:"}
    body = "\n\n".join(f"{heads[m['role']]}\n{m['content']}" for m in talk)
    start = tokenizer.bos_token or ""
    return f"{start}{' '.join(system) or _ALPACA}\n\n{body}\n\n### Response:\n{prefix}"


def render_whole(tokenizer: Any, messages: Sequence[Message | Mapping[str, str]]) -> str:
    """Render a conversation that ends with an assistant turn, as :func:`render` renders prompts.

    Raises:
        ChatTemplateError: the template refuses the conversation.
    """
    turns = [m._asdict() if isinstance(m, Message) else dict(m) for m in messages]
    if template_name(tokenizer) == "chat":
        return _rendered(tokenizer, turns, reply=False)[0]
    return render(tokenizer, turns[:-1]) + turns[-1]["content"] + end_of_turn(tokenizer)


def takes_system(tokenizer: Any) -> bool:
    """Whether prompts contain system messages as such; otherwise their words are put before the first user turn."""
    if template_name(tokenizer) != "chat":
        return True
    probe = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _ASKED}]
    try:
        return _rendered(tokenizer, probe, reply=True)[1]
    except ChatTemplateError:
        return True  # whatever is wrong with the template is reported when it is used


def _rendered(tokenizer: Any, turns: list[dict[str, str]], *, reply: bool) -> tuple[str, bool]:
    """The text of a conversation by the chat template, and whether its turns were rendered as they are."""
    refused: Exception | None = None
    try:
        text = str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=reply))
        if all(turn["content"].strip() in text for turn in turns if turn["role"] == "system"):
            return text, True
    except Exception as error:  # a template is a program, and may raise any error
        refused = error
    plain = plain_roles(turns)
    if refused is None or plain != turns:
        try:
            return str(tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=reply)), False
        except Exception as error:  # as above
            refused = error
    raise ChatTemplateError(
        f"the chat template of {getattr(tokenizer, 'name_or_path', '') or 'the model'} refuses a conversation of the turns "
        f"{', '.join(turn['role'] for turn in turns)}: {refused}. Correct chat_template in its folder, or choose another model"
    ) from refused


def end_of_turn(tokenizer: Any) -> str:
    """The token that ends a reply; training appends it, so that a model learns to stop.

    It is the first special or added token that the chat template puts after a reply, which differs from ``eos_token`` in
    some models (``<end_of_turn>``, ``<|im_end|>``); without a template, or if there is none, ``eos_token``.

    Returns:
        The token as text; empty if neither names one.
    """
    eos = str(tokenizer.eos_token or "")
    if template_name(tokenizer) != "chat":
        return eos
    talk = [{"role": "user", "content": _ASKED}, {"role": "assistant", "content": _REPLY}]
    try:
        text, _ = _rendered(tokenizer, talk, reply=False)
    except ChatTemplateError:
        return eos
    _, found, after = text.rpartition(_REPLY)
    if not found:
        return eos
    tokens = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()} - {""}
    places = {token: after.find(token) for token in tokens if token in after}
    # Of tokens that begin at the same place the longest is meant.
    return min(places, key=lambda token: (places[token], -len(token))) if places else eos


def carry_template(tokenizer: Any) -> None:
    """Set the Alpaca format as the chat template of a tokenizer without one, for tools that need a template."""
    if template_name(tokenizer) != "chat":
        tokenizer.chat_template = _ALPACA_TEMPLATE


def add_lead(tokenizer: Any, words: str) -> None:
    """Append words to every prompt, before the reply.

    They are added at the end of the chat template, which is saved with the tokenizer (for one without a template, the Alpaca
    format is set first), so that every tool that renders prompts by the template includes them.

    Args:
        tokenizer: A Hugging Face tokenizer; it is modified.
        words: The words, with the white space after them.
    """
    without_lead(tokenizer)
    template = tokenizer.get_chat_template() if template_name(tokenizer) == "chat" else _ALPACA_TEMPLATE
    # Jinja removes a newline at the end of a template, but not inside it.
    template = template.removesuffix("\n")
    tokenizer.chat_template = (
        f"{template}{{% if add_generation_prompt %}}{{{{ {json.dumps(words)} }}}}{{# lead #}}{{% endif %}}"
    )


def without_lead(tokenizer: Any) -> None:
    """Undo :func:`add_lead`; does nothing for a tokenizer without such words."""
    if isinstance(tokenizer.chat_template, str):
        tokenizer.chat_template = _LEAD.sub("", tokenizer.chat_template)
