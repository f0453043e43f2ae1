"""Checks that a folder is a causal language model, and that its weights, tokenizer and adapters fit each other."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from sandbox.errors import ModelNotFound
from sandbox.models.local.chat_template import end_of_turn, render

# What models of other heads are trained for, by the end of the architecture's name.
_OTHER_HEADS = {
    "ForMaskedLM": "fills gaps, and sees the words after a gap",
    "ForPreTraining": "fills gaps, and sees the words after a gap",
    "ForSequenceClassification": "rates or classifies texts; as a judge it is given by --rater reward:FOLDER",
    "ForTokenClassification": "labels the words of texts",
    "ForQuestionAnswering": "marks answers in texts",
    "ForMultipleChoice": "chooses among texts",
    "RewardModel": "rates texts; as a judge it is given by --rater reward:FOLDER",
}
_PROBE = ({"role": "system", "content": "a"}, {"role": "user", "content": "b"})


def check_architecture(folder: Path) -> None:
    """Refuse a model that was trained with another head than that of a causal language model.

    Args:
        folder: Folder of the base model, with ``config.json``.

    Raises:
        ModelNotFound: it is an encoder, an encoder-decoder, or a classifier.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelNotFound(f"{folder / 'config.json'} cannot be read as JSON: {error}") from error
    named = [str(name) for name in config.get("architectures") or ()]
    if config.get("is_encoder_decoder"):
        what = f"it is an encoder-decoder model{f' ({named[0]})' if named else ''}"
        raise ModelNotFound(f"{folder} cannot be loaded as a causal language model: {what}; {_ADVICE}")
    uses = [use for name in named for end, use in _OTHER_HEADS.items() if name.endswith(end)]
    if named and len(uses) == len(named):
        raise ModelNotFound(
            f"{folder} cannot be loaded as a causal language model: it is a {named[0]}, which {uses[0]}; {_ADVICE}"
        )


_ADVICE = "give a model whose architecture ends in ForCausalLM or LMHeadModel"


def check_missing(folder: Path, missing: Collection[str]) -> None:
    """Refuse a model of which weights are missing, which a library would fill with random numbers.

    Raises:
        ModelNotFound: names some of them.
    """
    if missing:
        raise ModelNotFound(
            f"the weights in {folder} are not those of the model in its config.json: {_some(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing. Copy or download the whole folder again"
        )


def check_causal(model: Any, folder: Path) -> None:
    """Refuse a model in which a word depends on the words after it: its likelihoods would have no meaning.

    Args:
        model: A model of transformers, in evaluation mode.
        folder: Its folder, for the message.

    Raises:
        ModelNotFound: the scores of the first tokens change with the last one.
    """
    import torch

    n = model.get_input_embeddings().weight.shape[0]
    ids = torch.full((2, 4), n // 2, device=model.device)
    ids[1, 3] = n // 2 - 1
    with torch.inference_mode():
        first, second = model(input_ids=ids).logits[:, :3].float()
    # Beyond what rounding can do.
    tolerance = 1e-4 if model.dtype in (torch.float32, torch.float64) else 2e-2
    if float((first - second).abs().max()) > tolerance * float(first.abs().max()):
        raise ModelNotFound(
            f"{folder} cannot be loaded as a causal language model: in {type(model).__name__} words depend on those after "
            f"them, as in an encoder; {_ADVICE}"
        )


def check_vocabulary(tokenizer: Any, model: Any, folder: Path) -> None:
    """Refuse a tokenizer whose prompts or replies contain tokens that the model has no embedding of.

    Tokens that neither its chat template nor its special tokens use are let pass: models are published with such.

    Args:
        tokenizer: A Hugging Face tokenizer.
        model: A model of transformers.
        folder: Its folder, for the message.

    Raises:
        ModelNotFound: says how many tokens and embeddings there are, and which tokens are too many.
    """
    n = int(model.get_input_embeddings().weight.shape[0])
    excess = {token: number for token, number in tokenizer.get_vocab().items() if number >= n}
    if not excess:
        return
    special = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id]
    text = render(tokenizer, _PROBE) + end_of_turn(tokenizer)
    used = {*special, *tokenizer(text, add_special_tokens=False)["input_ids"]}
    if used.intersection(excess.values()):
        first = sorted(excess, key=excess.__getitem__)
        raise ModelNotFound(
            f"the tokenizer of {folder} has {max(excess.values()) + 1} tokens and the model {n} embeddings; too many: "
            f"{_some(first)}. Use the tokenizer that the model was trained with, or add the embeddings with "
            "model.resize_token_embeddings(len(tokenizer)) and train them"
        )


def check_adapter(model: Any, folder: Path, name: str) -> None:
    """Refuse an adapter whose file lacks weights for layers of its base; they would stay untrained.

    Args:
        model: A model of PEFT on which the adapter is loaded.
        folder: Folder of the adapter.
        name: Its name in the model.

    Raises:
        ModelNotFound: names some of them.
    """
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    file = folder / "adapter_model.safetensors"
    if not file.is_file():
        return
    with safe_open(file, "pt") as opened:
        given = set(opened.keys())
    expected = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    missing = [key for key in expected if ".lora_" in key and key not in given]
    if missing:
        raise ModelNotFound(
            f"the adapter {folder} does not fit its base: {len(missing)} of {len(expected)} weights are missing, such as "
            f"{_some(missing)}. Check base_model_name_or_path in its adapter_config.json"
        )


def _some(names: Collection[str]) -> str:
    shown = list(names)[:3]
    return ", ".join(shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
