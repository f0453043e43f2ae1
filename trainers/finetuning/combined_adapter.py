"""Combines an adapter on an adapter into one adapter on the root base, which PEFT and transformers can load.

Low-rank updates add up exactly: B1 A1 + B2 A2 is a product of rank r1 + r2. Knows only files; loads no model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# Whatever of these an adapter uses, it is more than the sum of B A alpha / r over some linear layers.
_MORE = (
    "alpha_pattern", "alora_invocation_tokens", "corda_config", "eva_config", "layer_replication", "lora_bias",
    "modules_to_save", "rank_pattern", "target_parameters", "trainable_token_indices", "use_dora", "use_qalora",
)  # fmt: skip


def why_not_combined(adapters: Sequence[Path]) -> str | None:
    """The reason why adapters on each other cannot be combined; None if they can.

    Args:
        adapters: Folders of the adapters.
    """
    for folder in adapters:
        config = _config(folder)
        if config.get("peft_type") != "LORA":
            return f"{folder} is of the type {config.get('peft_type')}, not LORA"
        used = [name for name in _MORE if config.get(name)] + ["bias"] * (config.get("bias", "none") != "none")
        if used:
            return f"{folder} uses {', '.join(used)}"
        if not (folder / _WEIGHTS).is_file():
            return f"{folder} has no {_WEIGHTS}"
        other = [name for name in _load(folder) if not name.endswith((".lora_A.weight", ".lora_B.weight"))]
        if other:
            return f"{folder} holds {other[0]}"
    return None


def combine_adapters(folder: Path, below: Sequence[Path]) -> None:
    """Combine an adapter with the adapters below it.

    Args:
        folder: Folder of the last adapter; its files are rewritten, and its configuration must already name the root base.
        below: Folders of the adapters below it, for which :func:`why_not_combined` has no reason.
    """
    import torch
    from safetensors.torch import save_file

    parts = [(_scaling(_config(one)), _layers(_load(one))) for one in (*below, folder)]
    ranks = [next(iter(layers.values()))[0].shape[0] for _, layers in parts]
    combined: dict[str, Tensor] = {}
    for name in sorted({name for _, layers in parts for name in layers}):
        like_a, like_b = next(layers[name] for _, layers in parts if name in layers)
        downs, ups = [], []
        for (scaling, layers), rank in zip(parts, ranks, strict=True):
            down, up = layers.get(name) or (
                like_a.new_zeros(rank, like_a.shape[1]),
                like_b.new_zeros(len(like_b), rank),
            )
            downs.append(down.float())
            ups.append(up.float() * scaling)
        combined[f"{name}.lora_A.weight"] = torch.cat(downs).contiguous()  # [sum of ranks, in]
        combined[f"{name}.lora_B.weight"] = torch.cat(ups, dim=1).contiguous()  # [out, sum of ranks]
    config = _config(folder)
    targets = [_config(one).get("target_modules") for one in (*below, folder)]
    same = all(isinstance(one, list) and sorted(one) == sorted(targets[0] or ()) for one in targets)
    if not same:
        named = {name.removeprefix("base_model.model.") for _, layers in parts for name in layers}
        config |= {"target_modules": sorted(named), "exclude_modules": None, "layers_to_transform": None}
        config |= {"layers_pattern": None}
    # B is already scaled: alpha / r is 1.
    config |= {"r": sum(ranks), "lora_alpha": sum(ranks), "use_rslora": False}
    save_file(combined, folder / _WEIGHTS, metadata={"format": "pt"})
    (folder / _CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _layers(weights: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """A [rank, in] and B [out, rank] of each layer."""
    names = [name.removesuffix(".lora_A.weight") for name in weights if name.endswith(".lora_A.weight")]
    return {name: (weights[f"{name}.lora_A.weight"], weights[f"{name}.lora_B.weight"]) for name in names}


def _scaling(config: Mapping[str, Any]) -> float:
    return float(config["lora_alpha"] / (math.sqrt(config["r"]) if config.get("use_rslora") else config["r"]))


def _config(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / _CONFIG).read_text(encoding="utf-8")))


def _load(folder: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / _WEIGHTS)
