"""Requests -> token ids, by a model's tokenizer and chat template, within its context."""

from __future__ import annotations

from typing import Any

from sandbox.models.base import Request
from sandbox.models.local.chat_template import end_of_turn, render, template_name
from sandbox.models.local.choice_scoring import Scored, scored_rows, separator
from sandbox.models.local.decoding import Row
from sandbox.models.local.replies import request_fault

# Where a chat model ends its turn, a base model continues with the next instruction.
_ALPACA_STOP = ("### Instruction:", "### Response:")


class PromptEncoder:
    """Encodes requests for one model.

    Args:
        tokenizer: Its tokenizer.
        context: Its context, in tokens, reply included.
        embeddings: Number of tokens that it has embeddings of.
    """

    def __init__(self, tokenizer: Any, context: int, embeddings: int) -> None:
        self._tokenizer, self._context, self._embeddings = tokenizer, context, embeddings
        end = end_of_turn(tokenizer)
        self.end: int | None = tokenizer.convert_tokens_to_ids(end) if end else None

    def row(self, request: Request) -> Row:
        """Encode a request for text; its length is cut to the context.

        Raises:
            ValueError: the request is out of range, or does not fit into the context.
        """
        fault = request_fault(request)
        if fault:
            raise ValueError(fault)
        # A separate space before the reply would prevent the usual tokens of a space and a word.
        ids = self._tokens(render(self._tokenizer, request.messages, request.prefix.rstrip(" ")))
        left = self._fits(len(ids))
        stop = (*request.stop, *(_ALPACA_STOP if template_name(self._tokenizer) == "alpaca" else ()))
        return Row(ids, min(request.max_tokens, left), request.seed, request.temperature, request.top_p, stop)

    def choices(self, request: Request) -> list[Scored]:
        """Encode a request with choices, see :func:`~sandbox.models.local.choice_scoring.scored_rows`.

        Raises:
            ValueError: two choices are equal, or the request does not fit into the context.
        """
        prompt = render(self._tokenizer, request.messages, request.prefix)
        texts = [self._tokens(prompt + separator(request.prefix, c) + c) for c in request.choices]
        self._fits(max(map(len, texts)))
        return scored_rows(texts, self.end)

    def _tokens(self, text: str) -> tuple[int, ...]:
        ids = tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        if not ids:
            raise ValueError("the prompt is empty")
        if max(ids) >= self._embeddings:
            token = self._tokenizer.convert_ids_to_tokens(max(ids))
            raise ValueError(f"the prompt contains {token!r}, a token that the model has no embedding of")
        return ids

    def _fits(self, length: int) -> int:
        """Maximum number of tokens after a prompt."""
        if length >= self._context:
            raise ValueError(
                f"the prompt has {length} tokens, and the context of the model is {self._context} tokens, reply included"
            )
        return self._context - length


def context_length(config: Any) -> int:
    """Context of a model of transformers by its configuration, in tokens; without a limit 2**30."""
    limit = getattr(config.get_text_config(), "max_position_embeddings", None)
    return int(limit) if limit else 1 << 30
