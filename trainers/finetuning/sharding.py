"""The weights of this process in a model sharded with FSDP2; of any other model, all weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor


def is_sharded(model: Any) -> bool:
    """Whether FSDP2 shards a model over processes."""
    return any(isinstance(module, FSDPModule) for module in model.modules())


def learning_weights(model: Any) -> dict[str, Tensor]:
    """The trainable weights of this process, by name; they can be modified in place.

    After a forward pass FSDP2 may leave weights gathered, as temporary copies: they are sharded again first.
    """
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
    return {
        name: weights.to_local() if isinstance(weights, DTensor) else weights
        for name, weights in model.named_parameters()
        if weights.requires_grad
    }


def first_nonfinite(model: Any) -> str | None:
    """The name of a trainable weight that is NaN or infinite in any process; None if there is none.

    The result is the same in all processes, so that none waits for another that has stopped.
    """
    learning = learning_weights(model)
    finite = torch.tensor([bool(weights.detach().isfinite().all()) for weights in learning.values()])
    if is_sharded(model):
        some = next(iter(learning.values()))
        everywhere = finite.int().to(some.device)
        torch.distributed.all_reduce(everywhere, torch.distributed.ReduceOp.MIN)
        finite = everywhere.bool().cpu()
    return next((name for name, good in zip(learning, finite.tolist(), strict=True) if not good), None)
