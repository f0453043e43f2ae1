"""Engines of vLLM in this process: one for each base model, shared by its adapters, which sleeps while nobody asks it.

Knows no requests of agents.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from sandbox.errors import ModelNotFound
from sandbox.models.local.fingerprint import fingerprint

_LOG = logging.getLogger(__name__)
# vLLM gives the probabilities of so many named tokens at once.
MAX_LABELS = 128
_ENGINES: WeakValueDictionary[Hashable, Engine] = WeakValueDictionary()
# Starting an engine takes up to minutes, so the last one is kept for the next generation of a model.
_LAST: list[Engine] = []


@dataclass(frozen=True)
class EngineArguments:
    """Settings of an engine, with the names of vLLM's engine arguments; see ``VLLMModel``."""

    dtype: str = "auto"
    gpu_memory_utilization: float = 0.9
    max_model_len: int | None = None
    tensor_parallel_size: int = 1
    enforce_eager: bool = False
    max_loras: int = 4
    max_lora_rank: int = 64
    enable_sleep_mode: bool = True

    def arguments(self) -> dict[str, Any]:
        """The engine arguments of vLLM."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        if not self.max_loras:
            del given["max_loras"], given["max_lora_rank"]
        return {**given, "enable_lora": bool(self.max_loras), "enable_prefix_caching": True, "max_logprobs": MAX_LABELS}


class Engine:
    """A base model that vLLM runs, with any number of LoRA adapters on it.

    Args:
        base: Folder of the base model.
        settings: Settings of the engine.

    Raises:
        ModelNotFound: vLLM cannot run the model here.
    """

    def __init__(self, base: Path, settings: EngineArguments) -> None:
        import vllm

        try:
            self._llm = vllm.LLM(model=str(base), **settings.arguments())
        except (ValueError, RuntimeError, OSError, NotImplementedError, AssertionError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelNotFound(f"vLLM cannot run {base}: {reason}. With transformers it runs as hf:{base}") from error
        self._can_sleep = settings.enable_sleep_mode
        self._asleep = False
        self._numbers: dict[Hashable, int] = {}
        # The engine answers one batch at a time.
        self._one_asks = threading.Lock()

    def adapter(self, folder: Path) -> Any:
        """The request of vLLM for an adapter. A folder whose weights change is another adapter."""
        from vllm.lora.request import LoRARequest

        place = str(folder.resolve())
        number = self._numbers.setdefault((place, fingerprint((folder,))), len(self._numbers) + 1)
        return LoRARequest(lora_name=f"{folder.name}-{number}", lora_int_id=number, lora_path=place)

    def generate(self, prompts: Sequence[Sequence[int]], parameters: Sequence[Any], adapter: Any = None) -> list[Any]:
        """Run prompts, given as token ids, and return vLLM's outputs in their order; an engine that sleeps wakes up.

        Args:
            prompts: Token ids of each prompt.
            parameters: ``SamplingParams`` of each.
            adapter: Result of :meth:`adapter`; None for the base.
        """
        with self._one_asks:
            if self._asleep:
                self._llm.wake_up()
                self._asleep = False
            given = [{"prompt_token_ids": list(ids)} for ids in prompts]
            return list(self._llm.generate(given, list(parameters), lora_request=adapter, use_tqdm=False))

    def sleep(self) -> None:
        """Move the weights to the memory of the host and drop the cache, so that a training has the GPU."""
        with self._one_asks:
            if self._can_sleep and not self._asleep:
                self._llm.sleep(level=1)
                self._asleep = True


def engine_for(base: Path, settings: EngineArguments) -> Engine:
    """The engine in use for a base and settings, or a new one; others that nobody uses are dropped.

    Raises:
        ModelNotFound: vLLM cannot run the model here.
    """
    key = (str(base.resolve()), fingerprint((base,)), settings)
    found = _ENGINES.get(key)
    if found is None:
        sleep_engines()  # to make room; those that are asked again wake up
        _LAST.clear()
        found = _ENGINES[key] = Engine(base, settings)
    _LAST[:] = [found]
    return found


def sleep_engines() -> None:
    """Let all engines of this process sleep until they are asked again. Does nothing where there are none."""
    for engine in list(_ENGINES.values()):
        engine.sleep()
