"""Several adapters on one base model in memory, active one at a time."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import count
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary, finalize

from sandbox.models.local.model_fit import check_adapter

_IN_USE: WeakValueDictionary[Hashable, SharedBase] = WeakValueDictionary()


class SharedBase:
    """A base model with several adapters in its layers.

    Args:
        model: A causal language model of transformers, in evaluation mode. It is modified.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._peft: Any = None
        self._numbers = count()
        self._one_speaks = threading.RLock()

    def add(self, folder: Path, owner: object) -> str | None:
        """Load an adapter beside the others; it is removed with its owner.

        Args:
            folder: Folder of the adapter.
            owner: The object that uses it.

        Returns:
            Name of the adapter; None for adapters outside the layers (for example prompt tuning), which cannot share a
            base.
        """
        from peft import PeftConfig, PeftModel

        if PeftConfig.from_pretrained(folder).is_prompt_learning:
            return None
        name = f"voice_{next(self._numbers)}"
        with self._one_speaks:
            if self._peft is None:
                self._peft = PeftModel.from_pretrained(self.model, folder, adapter_name=name)
            else:
                self._peft.load_adapter(folder, adapter_name=name)
            check_adapter(self._peft, folder, name)
            self._peft.eval().requires_grad_(False)
            self._peft.to(self.model.device)
        finalize(owner, self._drop, name)
        return name

    @contextmanager
    def speaking(self, name: str | None) -> Iterator[None]:
        """Activate one adapter, or the base alone (None); other users wait."""
        with self._one_speaks:
            if name is not None:
                self._peft.set_adapter(name, inference_mode=True)
            with self._peft.disable_adapter() if name is None and self._peft is not None else nullcontext():
                yield

    def _drop(self, name: str) -> None:
        with self._one_speaks:
            if len(self._peft.peft_config) > 1:  # PEFT cannot remove the last one
                self._peft.delete_adapter(name)


def shared_base(key: Hashable, make: Any) -> SharedBase:
    """Return the base in use under a key, or make one."""
    found = _IN_USE.get(key)
    if found is None:
        found = _IN_USE[key] = SharedBase(make())
    return found
