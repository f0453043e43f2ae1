"""The encoder of the bundled MiniLM, from torch, tokenizers and safetensors alone.

Importing sentence-transformers, and with it transformers, takes several seconds before the first text; this takes the time that
torch takes. The vectors are those of sentence-transformers, bit for bit. Knows no other model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def vector_length(folder: Path) -> int:
    """Length of the vectors of a model in a folder, without loading it."""
    return int(json.loads((folder / "config.json").read_text(encoding="utf-8"))["hidden_size"])


class BertEncoder:
    """A BERT with mean pooling, on the processor.

    Args:
        folder: Folder of the model, as sentence-transformers saves it.
        dtype: Data type of the computation.

    Raises:
        OSError: a file is missing.
        KeyError: a weight or a setting is missing.
    """

    def __init__(self, folder: Path, dtype: str) -> None:
        import torch
        from safetensors.torch import load_file
        from tokenizers import Tokenizer

        config, sentence = (
            json.loads((folder / name).read_text(encoding="utf-8"))
            for name in ("config.json", "sentence_bert_config.json")
        )
        self._weights = {
            name: weight.to(getattr(torch, dtype))
            for name, weight in load_file(folder / "model.safetensors").items()
            if weight.is_floating_point()
        }
        self.dim = int(config["hidden_size"])
        self._n_layers, self._n_heads = int(config["num_hidden_layers"]), int(config["num_attention_heads"])
        self._eps = float(config["layer_norm_eps"])
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(sentence["max_seq_length"])
        self._tokenizer.enable_padding(pad_id=config["pad_token_id"])

    def encode(self, texts: Sequence[str], batch_size: int) -> NDArray[np.float32]:
        """Embed texts, in order: float32 [texts, dim], each row of length 1."""
        import torch

        # The longest first, as sentence-transformers has it: batches of like lengths need little padding.
        order = np.argsort([-len(text) for text in texts])
        found = np.empty((len(texts), self.dim), np.float32)
        with torch.inference_mode():
            for start in range(0, len(texts), batch_size):
                rows = order[start : start + batch_size]
                encoded = self._tokenizer.encode_batch([texts[row] for row in rows])
                tokens = torch.tensor([one.ids for one in encoded])
                mask = torch.tensor([one.attention_mask for one in encoded])
                found[rows] = self._pooled(self._hidden(tokens, mask), mask).float().numpy()
        return found

    def _pooled(self, hidden: Any, mask: Any) -> Any:
        """The mean over the tokens of each text, as vectors of length 1: [texts, dim]."""
        import torch
        from torch.nn.functional import normalize

        exact = torch.float32 if hidden.dtype in (torch.float16, torch.bfloat16) else hidden.dtype
        weight = mask[:, :, None].to(hidden.dtype)
        mean = (hidden * weight).sum(1, dtype=exact) / weight.sum(1, dtype=exact).clamp(min=1e-9)
        # Twice, as the model's last module and the call of `encode` do: the second changes last bits.
        return normalize(normalize(mean.to(hidden.dtype), dim=1), dim=1)

    def _hidden(self, tokens: Any, mask: Any) -> Any:
        """The last hidden states: [texts, tokens, dim]."""
        n_texts, n_tokens = tokens.shape
        visible = None if mask.all() else mask.bool()[:, None, None, :].expand(n_texts, 1, n_tokens, n_tokens)
        named = self._weights
        words = named["embeddings.word_embeddings.weight"][tokens]
        embedded = words + named["embeddings.token_type_embeddings.weight"][0]
        hidden = self._norm("embeddings", embedded + named["embeddings.position_embeddings.weight"][:n_tokens])
        for layer in range(self._n_layers):
            hidden = self._layer(f"encoder.layer.{layer}", hidden, visible)
        return hidden

    def _layer(self, name: str, hidden: Any, visible: Any) -> Any:
        from torch.nn.functional import gelu, scaled_dot_product_attention

        query, key, value = (
            self._linear(f"{name}.attention.self.{part}", hidden)
            .view(*hidden.shape[:2], self._n_heads, -1)
            .transpose(1, 2)
            for part in ("query", "key", "value")
        )  # each [texts, heads, tokens, dim of a head]
        attended = scaled_dot_product_attention(query, key, value, attn_mask=visible)
        attended = self._linear(f"{name}.attention.output.dense", attended.transpose(1, 2).reshape(hidden.shape))
        hidden = self._norm(f"{name}.attention.output", attended + hidden)
        inner = gelu(self._linear(f"{name}.intermediate.dense", hidden))
        return self._norm(f"{name}.output", self._linear(f"{name}.output.dense", inner) + hidden)

    def _linear(self, name: str, given: Any) -> Any:
        from torch.nn.functional import linear

        return linear(given, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, name: str, given: Any) -> Any:
        from torch.nn.functional import layer_norm

        weight, bias = (self._weights[f"{name}.LayerNorm.{part}"] for part in ("weight", "bias"))
        return layer_norm(given, (self.dim,), weight, bias, self._eps)
