"""A stand-in for vLLM, for machines without a GPU: the part of its interface that the project uses, on transformers.

Names and meanings follow vLLM 0.33. One prompt is run at a time, so that nothing is as fast as in vLLM, and the sampled text
of a seed is another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

ENGINES: list[LLM] = []


@dataclass
class SamplingParams:
    """The sampling parameters that the project gives."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: Sequence[str] = ()
    stop_token_ids: Sequence[int] = ()
    max_tokens: int = 16
    logprobs: int | None = None
    logprob_token_ids: Sequence[int] | None = None
    prompt_logprobs: int | None = None


@dataclass
class Logprob:
    """A log-probability, in nats."""

    logprob: float


@dataclass
class CompletionOutput:
    """A text that was written."""

    text: str
    token_ids: list[int]
    finish_reason: str
    logprobs: list[dict[int, Logprob]] | None = None


@dataclass
class RequestOutput:
    """The result of a prompt."""

    prompt_token_ids: list[int]
    outputs: list[CompletionOutput]
    prompt_logprobs: list[dict[int, Logprob] | None] | None = None
    num_cached_tokens: int = 0


@dataclass
class LLM:
    """An engine; ``calls`` counts what was asked of it, and ``asleep`` says whether it sleeps."""

    model: str
    dtype: str = "auto"
    gpu_memory_utilization: float = 0.9
    max_model_len: int | None = None
    tensor_parallel_size: int = 1
    enforce_eager: bool = False
    enable_lora: bool = False
    max_loras: int = 1
    max_lora_rank: int = 16
    enable_sleep_mode: bool = False
    enable_prefix_caching: bool = True
    max_logprobs: int = 20
    asleep: bool = False
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.gpu_memory_utilization > 0.95:
            raise ValueError("Free memory on device is less than desired GPU memory utilization")
        self._model: Any = AutoModelForCausalLM.from_pretrained(self.model).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(self.model)
        self._adapted: dict[int, Any] = {}
        ENGINES.append(self)

    def sleep(self, level: int = 1) -> None:
        """Sleep; refused where the mode is not enabled."""
        assert self.enable_sleep_mode
        assert level == 1
        self.asleep = True
        self.calls.append("sleep")

    def wake_up(self) -> None:
        """Wake up."""
        self.asleep = False
        self.calls.append("wake_up")

    def generate(
        self,
        prompts: list[dict[str, Any]],
        sampling_params: list[SamplingParams],
        *,
        use_tqdm: bool = True,
        lora_request: Any = None,
    ) -> list[RequestOutput]:
        """Run prompts; one whose first token is 7 is refused, as vLLM refuses some, with all others of the call."""
        assert not self.asleep
        assert not use_tqdm
        self.calls.append(f"generate {len(prompts)}")
        if any(prompt["prompt_token_ids"][-1] == 7 for prompt in prompts):
            raise ValueError("a prompt that cannot be run")
        model = self._model if lora_request is None else self._with(lora_request)
        with torch.inference_mode():
            return [
                self._run(model, prompt["prompt_token_ids"], params)
                for prompt, params in zip(prompts, sampling_params, strict=True)
            ]

    def _with(self, request: Any) -> Any:
        assert self.enable_lora
        if request.lora_int_id not in self._adapted:
            fresh = AutoModelForCausalLM.from_pretrained(self.model)
            self._adapted[request.lora_int_id] = PeftModel.from_pretrained(fresh, request.lora_path).eval()
        return self._adapted[request.lora_int_id]

    def _run(self, model: Any, ids: list[int], params: SamplingParams) -> RequestOutput:
        noise = torch.Generator().manual_seed(params.seed or 0)
        whole, written, text, reason, first = list(ids), [], "", "length", None
        for _ in range(params.max_tokens):
            logits = model(torch.tensor([whole])).logits[0, -1].double()
            first = logits.log_softmax(-1) if first is None else first
            token = int(logits.argmax()) if params.temperature == 0 else self._draw(logits, params, noise)
            whole.append(token)
            if token in params.stop_token_ids or token == self._tokenizer.eos_token_id:
                reason = "stop"
                written.append(token)
                break
            written.append(token)
            text = self._tokenizer.decode(written, skip_special_tokens=True)
            stops = [text.index(words) for words in params.stop if words in text]
            if stops:
                text, reason = text[: min(stops)], "stop"
                break
        logprobs = None
        if params.logprobs is not None:
            wanted = [*(params.logprob_token_ids or ()), written[0]]
            logprobs = [{token: Logprob(float(first[token])) for token in wanted}]
        prompt_logprobs: list[dict[int, Logprob] | None] | None = None
        if params.prompt_logprobs is not None:
            nats = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
            prompt_logprobs = [None, *({t: Logprob(float(nats[i, t]))} for i, t in enumerate(ids[1:]))]
        return RequestOutput(ids, [CompletionOutput(text, written, reason, logprobs)], prompt_logprobs, 3)

    @staticmethod
    def _draw(logits: Any, params: SamplingParams, noise: Any) -> int:
        logits = logits / params.temperature
        if params.top_k > 0:
            logits[logits < logits.topk(params.top_k).values[-1]] = -torch.inf
        return int(torch.multinomial(logits.softmax(-1), 1, generator=noise))
