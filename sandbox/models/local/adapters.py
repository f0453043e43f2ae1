"""One base model in memory, and any number of adapters on it that take turns: agents of several policies share weights."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import count
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary, finalize

_IN_USE: WeakValueDictionary[Hashable, SharedBase] = WeakValueDictionary()


class SharedBase:
    """A base model whose layers carry the adapters of whoever shares it.

    Args:
        model: A causal language model of transformers, in evaluation mode. It is changed.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._peft: Any = None
        self._numbers = count()
        self._one_speaks = threading.RLock()

    def add(self, folder: Path, owner: object) -> str | None:
        """Load an adapter beside the others, for as long as ``owner`` lives.

        Args:
            folder: The adapter's.
            owner: Who speaks through it.

        Returns:
            The name to speak under; None for adapters that are no part of the layers (as prompt tuning), which cannot
            be shared.
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
            self._peft.eval().requires_grad_(False)
            self._peft.to(self.model.device)
        finalize(owner, self._drop, name)
        return name

    @contextmanager
    def speaking(self, name: str | None) -> Iterator[None]:
        """Let one adapter, or the bare base (None), speak; others wait."""
        with self._one_speaks:
            if name is not None:
                self._peft.set_adapter(name, inference_mode=True)
            with self._peft.disable_adapter() if name is None and self._peft is not None else nullcontext():
                yield

    def _drop(self, name: str) -> None:
        with self._one_speaks:
            if len(self._peft.peft_config) > 1:  # the last goes with the base
                self._peft.delete_adapter(name)


def shared_base(key: Hashable, make: Any) -> SharedBase:
    """The base in use under a key, else a new one."""
    found = _IN_USE.get(key)
    if found is None:
        found = _IN_USE[key] = SharedBase(make())
    return found
