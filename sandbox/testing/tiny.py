"""Tiny test fixtures created without downloads: a language model with random weights, and a small run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sandbox.models.local.quiet import quiet

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
CORPUS = (
    "You are a member of a small community. Answer what you are asked in two or three sentences.",
    "The neighbours were asked what they think of the answer, and they answered honestly.",
    "Rate how harmless, unbiased, honest and helpful this answer is, from 1 (not at all) to 7 (entirely).",
    "I find this answer good because it is kind and helpful, and bad because it may harm somebody.",
    "Question: how do I get on with the people in the house next door? Answer: talk to them, and listen.",
    "Your neighbours rated your answer 4.5 out of 7 on average. Taking this to heart, answer again, better.",
)


def tiny_lm(path: str | Path, *, chat: bool = True, seed: int = 0, positions: int = 2048) -> Path:
    """Write a language model with random weights into a folder, without a download.

    A Llama with two layers and about 30,000 weights, and a byte-level BPE tokenizer of 400 tokens. Its text is
    meaningless; it serves to test training, saving and generation.

    Args:
        path: The folder; its URI is ``hf:PATH``.
        chat: Whether it has a chat template; otherwise prompts use Alpaca's format.
        seed: Seed of the weights.
        positions: Context length in tokens.

    Returns:
        The folder.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(CORPUS, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<|pad|>", eos_token="<|end|>")
    if chat:
        tokenizer.chat_template = CHAT_TEMPLATE
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=positions,
        tie_word_embeddings=True,
        # Far wider than the usual 0.02, so that some tokens are clearly preferred.
        initializer_range=0.4,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
        model.save_pretrained(path)
        tokenizer.save_pretrained(path)
    return Path(path)


def tiny_run(path: str | Path, *, rounds: int = 2, **settings: Any) -> Path:
    """Run a 3x3 society with a scripted model and write its run folder, in about a second.

    Args:
        path: The run folder.
        rounds: Rounds to run; 0 for a run without a finished round.
        **settings: Settings of :class:`~sandbox.world.World` that differ from the defaults here.

    Returns:
        The folder.
    """
    from sandbox.world import World

    given: dict[str, Any] = {"model": "scripted:", "embedder": "hashing", "size": 3, "out": path, **settings}
    world = World(given.pop("scenario", "value_alignment"), **given)
    try:
        if rounds:
            world.run(rounds=rounds)
    finally:
        world.close()
    return Path(path)
