"""Ratings by a reward model: a sequence classifier, which is given texts in the form in which it was trained."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.errors import ModelNotFound, require_packages
from sandbox.records import Rating

if TYPE_CHECKING:
    from sandbox.raters.base import RatingRole

_LOG = logging.getLogger(__name__)
_HEADS = ("ForSequenceClassification", "RewardModel")


class RewardRater:
    """Rates by a reward model, a sequence classifier in a folder or on the hub.

    p is the logistic function of a single logit, or the probability of the last of several classes; the rating is
    1 + (scale - 1) * p.

    A question and its answer are rendered by the chat template of the model; without one they are a pair of sequences, if
    its tokenizer has a separator, and else one text with an empty line between them. Of texts longer than the model can
    read the beginning is left out (of pairs, the end of the longer one), with a warning. Texts are padded only if the model
    knows a padding token; otherwise they are rated one by one.

    Args:
        rest: A folder, or the name of a model on the hub.
        embedder: Not used.
        batch_size: Texts that are rated together.

    Attributes:
        notes: What is done otherwise than the model's files say, one line each.

    Raises:
        ModelNotFound: there is no such model, its files are damaged, or it has no reward head.
        ToolNotFound: torch or transformers is not installed.
    """

    name = "reward"

    def __init__(self, rest: str, *, embedder: Any = None, batch_size: int = 16) -> None:
        del embedder
        if not rest:
            raise ModelNotFound("the reward rater needs a model: --rater reward:FOLDER or reward:HUB_NAME")
        require_packages(f"rater 'reward:{rest}'", "torch", "transformers")
        self._model, self._tokenizer = _load(rest)
        self.batch_size = batch_size
        self.notes: list[str] = []
        self._has_template = bool(getattr(self._tokenizer, "chat_template", None))
        self._is_pair = not self._has_template and self._tokenizer.sep_token is not None
        if not self._has_template and not self._is_pair:
            self._note(
                f"reward model {rest} has neither a chat template nor a separator: it reads questions and answers with an "
                "empty line between them"
            )
        self._uri = rest
        self._longest = _longest(self._model, self._tokenizer)
        self._tokenizer.padding_side = "right"
        self._tokenizer.truncation_side = "right" if self._is_pair else "left"
        if not _share_padding(self._model, self._tokenizer):
            self.batch_size = 1

    def rate(self, items: Sequence[tuple[str, str]], *, rater_of: RatingRole) -> list[Rating]:
        """Rate (question, answer) pairs, in order; of ``rater_of`` only the scale matters."""
        import torch

        ratings: list[Rating] = []
        n_long = 0
        for start in range(0, len(items), self.batch_size):
            texts = self._texts(items[start : start + self.batch_size])
            special = not self._has_template
            lengths = [len(ids) for ids in self._tokenizer(*texts, add_special_tokens=special)["input_ids"]]
            too_long = sum(length > self._longest for length in lengths)
            n_long += too_long
            encoded = self._tokenizer(
                *texts,
                add_special_tokens=special,
                padding=len(lengths) > 1,
                truncation=too_long > 0,
                max_length=self._longest if too_long else None,
                return_tensors="pt",
            )
            with torch.inference_mode():
                logits = self._model(**encoded).logits.float()
            good = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)
            ratings += [Rating(1 + (rater_of.scale - 1) * float(p)) for p in good[:, -1]]
        if n_long:
            where = "the end of the longer text of each pair" if self._is_pair else "their beginning"
            self._note(
                f"reward model {self._uri} reads at most {self._longest} tokens: {n_long} of {len(items)} texts lost {where}; "
                "later ones do as well"
            )
        return ratings

    def _texts(self, items: Sequence[tuple[str, str]]) -> tuple[list[str], ...]:
        """Texts in the form in which the model was trained; for pairs, their first and their second halves."""
        from sandbox.models.local.chat_template import render_whole

        if self._is_pair:
            return [question for question, _ in items], [answer for _, answer in items]
        if not self._has_template:
            return ([f"{question}\n\n{answer}" for question, answer in items],)
        talks = [[{"role": "user", "content": q}, {"role": "assistant", "content": a}] for q, a in items]
        return ([render_whole(self._tokenizer, talk) for talk in talks],)

    def _note(self, words: str) -> None:
        """Say something once."""
        subject = words.partition(":")[0]
        if not any(note.startswith(subject) for note in self.notes):
            self.notes.append(words)
            _LOG.warning("%s", words)


def _load(rest: str) -> tuple[Any, Any]:
    """Load a classifier and its tokenizer, and check that its head was trained."""
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from sandbox.models.local.loading import locate
    from sandbox.models.local.model_fit import check_vocabulary
    from sandbox.models.local.quiet import quiet
    from sandbox.models.local.weight_integrity import check_files

    try:
        folder = locate(rest)
        check_files(folder)
        _check_head(folder)
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder)
            model, found = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
        missing = sorted(found["missing_keys"])
        if missing:
            raise ModelNotFound(f"its weights lack {', '.join(missing[:3])}, so that its ratings would be random")
        check_vocabulary(tokenizer, model, folder)
    except (ModelNotFound, OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelNotFound(f"reward model {rest!r} cannot be loaded as a sequence classifier: {error}") from error
    return model.eval(), tokenizer


def _check_head(folder: Path) -> None:
    """Refuse models without a reward head, which libraries would make up.

    Raises:
        ModelNotFound: it is an adapter, or another kind of model.
    """
    if (folder / "adapter_config.json").is_file():
        raise ModelNotFound(
            "it is an adapter. Merge it first: peft.AutoPeftModelForSequenceClassification.from_pretrained(FOLDER, "
            "num_labels=1).merge_and_unload().save_pretrained(OTHER), and save its tokenizer there"
        )
    named = [
        str(name)
        for name in json.loads((folder / "config.json").read_text(encoding="utf-8")).get("architectures") or ()
    ]
    if named and not any(name.endswith(_HEADS) for name in named):
        raise ModelNotFound(
            f"it is a {named[0]}, without a reward head. To rate by asking a language model, use --rater lm (or --judge "
            f"hf:{folder})"
        )


def _share_padding(model: Any, tokenizer: Any) -> bool:
    """Agree on a padding token between model and tokenizer; False if they know none that texts cannot contain."""
    config = model.config.get_text_config()
    if config.pad_token_id is not None:
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.convert_ids_to_tokens(config.pad_token_id)
        return bool(tokenizer.pad_token_id == config.pad_token_id)
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        return False
    config.pad_token_id = tokenizer.pad_token_id
    return True


def _longest(model: Any, tokenizer: Any) -> int:
    """Maximum number of tokens that a model reads."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return min(int(tokenizer.model_max_length), int(positions) if positions else 1 << 30)
