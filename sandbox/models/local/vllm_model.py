"""VLLMModel: a causal language model that vLLM runs in this process."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.errors import ModelNotFound, SettingsError, nearest, require_packages
from sandbox.models.base import Reply, Request
from sandbox.models.local.choice_scoring import Scored
from sandbox.models.local.field_decoding import with_schemas
from sandbox.models.local.fingerprint import fingerprint
from sandbox.models.local.loading import adapter_chain, is_from_bundled, load_tokenizer, loading, locate
from sandbox.models.local.prompt_encoder import PromptEncoder, context_length
from sandbox.models.local.replies import chosen_reply, failed_reply, written_reply
from sandbox.models.local.vllm_engine import MAX_LABELS, EngineArguments, engine_for

_DTYPES = ("auto", "float32", "bfloat16", "float16")
_SEEDS = (1 << 63) - 1  # seeds of vLLM are signed


@dataclass(frozen=True)
class _Job:
    """A prompt for the engine, and how its output is read: a reply, or log-probabilities of endings (nats)."""

    ids: tuple[int, ...]
    n_prompt: int  # tokens that count as the prompt, as in transformers
    parameters: Any
    read: Callable[[Any], Reply | list[float]]


class VLLMModel:
    """A causal language model in vLLM, in this process: a folder, a hub name, the bundled model, or a LoRA adapter on any.

    Adapters on one base share an engine. During a training in the same process the engine sleeps: its weights are kept in the
    host's memory, and it wakes up with the next request. Replies depend on the batches that vLLM makes, so that a run that is
    repeated may differ; a run that is resumed or replayed does not, as replies are recorded.

    Args:
        rest: The part of the URI after ``vllm:``, as after ``hf:``.
        dtype: ``auto`` (that of the weights), ``float32``, ``bfloat16`` or ``float16``.
        top_k: Sample only from this many most probable tokens, as ``hf`` does; 0 samples from the whole vocabulary.
        gpu_memory_utilization: Share of the GPU's memory that the engine takes, in (0, 1].
        max_model_len: Context in tokens, reply included; by default the model's, which may need more memory than there is.
        tensor_parallel_size: Number of GPUs that the model is split over.
        enforce_eager: Run without CUDA graphs, which starts faster and answers slower.
        max_loras: Adapters that a batch may mix; 0 for an architecture that vLLM runs without adapters.
        max_lora_rank: Maximum rank of adapters: 8, 16, 32, 64, 128, 256, 320 or 512.
        enable_sleep_mode: Let the engine sleep during a training; on a platform that cannot, set it to false.

    Attributes:
        uri: ``vllm:`` and ``rest``.
        fingerprint: Hash of the weights, including the adapter.
        default_rater: ``values`` for the bundled model and models trained from it, which are poor judges; else ``lm``.
        tokenizer: Its tokenizer.

    Raises:
        ModelNotFound: the model does not exist, has adapters on each other, or vLLM cannot run it.
        SettingsError: a setting is out of range.
        ToolNotFound: vllm is not installed.
    """

    # The catalog gives the same object to all users of a model.
    shareable = True

    def __init__(
        self,
        rest: str,
        *,
        dtype: str = "auto",
        top_k: int = 64,
        gpu_memory_utilization: float = 0.9,
        max_model_len: int | None = None,
        tensor_parallel_size: int = 1,
        enforce_eager: bool = False,
        max_loras: int = 4,
        max_lora_rank: int = 64,
        enable_sleep_mode: bool = True,
    ) -> None:
        require_packages(f"model 'vllm:{rest}'", "vllm", "transformers")
        settings = EngineArguments(
            dtype, gpu_memory_utilization, max_model_len, tensor_parallel_size, enforce_eager, max_loras, max_lora_rank,
            enable_sleep_mode,
        )  # fmt: skip
        _check(settings, top_k)
        self._top_k = top_k
        base, *adapters = adapter_chain(locate(rest))
        _check_adapters(rest, adapters, settings)
        from transformers import AutoConfig

        with loading(rest):
            self.tokenizer = load_tokenizer([base, *adapters])
            config = AutoConfig.from_pretrained(base)
        context = min(context_length(config), max_model_len or math.inf)
        self._encoder = PromptEncoder(self.tokenizer, int(context), int(config.get_text_config().vocab_size))
        self._engine = engine_for(base, settings)
        self._adapter = self._engine.adapter(adapters[0]) if adapters else None
        self.uri = f"vllm:{rest}"
        self.fingerprint = fingerprint((base, *adapters))
        self.default_rater = "values" if is_from_bundled([base, *adapters]) else "lm"

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer every request, in order. A failed request gives ``Reply.error``.

        For ``Request.choices`` nothing is sampled: ``Reply.choice_probs`` are the model's probabilities at temperature 1, and
        the text is the most probable choice. For ``Request.schema`` see :mod:`sandbox.models.local.field_decoding`.

        Args:
            requests: Requests of any kind; vLLM batches them.
        """
        return with_schemas(self._generate, requests)

    def _generate(self, requests: Sequence[Request]) -> list[Reply]:
        jobs: dict[int, list[_Job]] = {}
        replies: dict[int, Reply] = {}
        for number, request in enumerate(requests):
            try:
                jobs[number] = self._choices(request) if request.choices else [self._text(request)]
            except Exception as error:  # the boundary: a failed request is data
                replies[number] = failed_reply(f"{self.uri} cannot read the request: {error}")
        results = iter(self._run([job for of_request in jobs.values() for job in of_request]))
        for number, of_request in jobs.items():
            found = [next(results) for _ in of_request]
            replies[number] = self._reply(requests[number], found, of_request[0].n_prompt)
        return [replies[number] for number in range(len(requests))]

    def _reply(self, request: Request, found: Sequence[Reply | list[float] | str], read: int) -> Reply:
        """The reply to a request from the results of its prompts; a text among them says why one failed."""
        nats: list[float] = []
        for result in found:
            if isinstance(result, str):
                return failed_reply(result, read)
            if isinstance(result, Reply):
                return result
            nats += result
        return chosen_reply(request.choices, nats, read)

    def _run(self, jobs: Sequence[_Job]) -> list[Reply | list[float] | str]:
        """Run prompts; a batch that fails is halved until the faulty prompt is alone, which gives the error."""
        if not jobs:
            return []
        try:
            outputs = self._engine.generate([job.ids for job in jobs], [job.parameters for job in jobs], self._adapter)
            return [job.read(output) for job, output in zip(jobs, outputs, strict=True)]
        except Exception as error:  # the boundary: a failed call is data
            if len(jobs) == 1:
                return [f"{type(error).__name__}: {error}"]
        middle = len(jobs) // 2
        return [*self._run(jobs[:middle]), *self._run(jobs[middle:])]

    def _text(self, request: Request) -> _Job:
        from vllm import SamplingParams

        row = self._encoder.row(request)
        parameters = SamplingParams(
            temperature=row.temperature, top_p=row.top_p, max_tokens=row.max_tokens, seed=row.seed & _SEEDS,
            top_k=self._top_k, stop=list(row.stop), stop_token_ids=[] if self._encoder.end is None else [self._encoder.end],
        )  # fmt: skip

        def read(output: Any) -> Reply:
            written = output.outputs[0]
            if written.finish_reason not in ("stop", "length"):
                raise RuntimeError(f"vLLM ended the reply with {written.finish_reason!r}")
            is_cut = written.finish_reason == "length"
            # The last character of a cut text may be incomplete.
            text = written.text.rstrip("\ufffd") if is_cut else written.text
            cached = getattr(output, "num_cached_tokens", None) or 0
            return written_reply(text.strip(), len(row.ids), len(written.token_ids), written.finish_reason, cached)

        return _Job(row.ids, len(row.ids), parameters, read)

    def _choices(self, request: Request) -> list[_Job]:
        rows = self._encoder.choices(request)
        if len(rows) == 1 and len(rows[0].endings) <= MAX_LABELS:
            return [_next_tokens(rows[0])]
        return [_ending(row.ids, ending) for row in rows for ending in row.endings]


def _next_tokens(row: Scored) -> _Job:
    """The job that scores single tokens after a prompt."""
    from vllm import SamplingParams

    tokens = [ending[0] for ending in row.endings]
    parameters = SamplingParams(max_tokens=1, temperature=0.0, logprobs=len(tokens), logprob_token_ids=tokens)

    def read(output: Any) -> list[float]:
        seen = output.outputs[0].logprobs[0]
        missing = [token for token in tokens if token not in seen]
        if missing:
            raise RuntimeError(f"vLLM gave no probability of the tokens {missing}")
        return [float(seen[token].logprob) for token in tokens]

    return _Job(row.ids, len(row.ids), parameters, read)


def _ending(ids: tuple[int, ...], ending: tuple[int, ...]) -> _Job:
    """The job that scores an ending of several tokens; ``ids`` hold all but its last one."""
    from vllm import SamplingParams

    whole = (*ids[: len(ids) - len(ending) + 1], *ending)

    def read(output: Any) -> list[float]:
        seen = output.prompt_logprobs[-len(ending) :]
        return [sum(float(at[token].logprob) for at, token in zip(seen, ending, strict=True))]

    return _Job(whole, len(ids), SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0), read)


def _check(settings: EngineArguments, top_k: int) -> None:
    faults = []
    if top_k < 0:
        faults.append(f"top_k={top_k} must be at least 1, or 0 for the whole vocabulary")
    if settings.dtype not in _DTYPES:
        faults.append(f"dtype={settings.dtype!r} is not one of {', '.join(_DTYPES)}.{nearest(settings.dtype, _DTYPES)}")
    if not 0 < settings.gpu_memory_utilization <= 1:
        faults.append(f"gpu_memory_utilization={settings.gpu_memory_utilization} must be more than 0 and at most 1")
    if settings.max_model_len is not None and settings.max_model_len < 1:
        faults.append("max_model_len must be at least 1")
    if settings.tensor_parallel_size < 1 or settings.max_lora_rank < 1 or settings.max_loras < 0:
        faults.append("tensor_parallel_size and max_lora_rank must be at least 1, and max_loras at least 0")
    if faults:
        raise SettingsError("a model in vLLM cannot be set up: " + "; ".join(faults))


def _check_adapters(rest: str, adapters: Sequence[Path], settings: EngineArguments) -> None:
    """Refuse adapters that vLLM cannot load; merged weights it can.

    Raises:
        ModelNotFound: adapters are on each other, or are no LoRA adapters.
        SettingsError: the rank of an adapter is above the maximum, or adapters are turned off.
    """
    merged = f"Merge with: sandbox export-model hf:{rest} --out MERGED, and use vllm:MERGED"
    if len(adapters) > 1:
        raise ModelNotFound(f"{rest!r} has {len(adapters)} adapters on each other, and vLLM loads one. {merged}")
    for folder in adapters:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        kind, rank = config.get("peft_type"), int(config.get("r") or 0)
        if kind != "LORA":
            raise ModelNotFound(f"the adapter {folder} is of the type {kind}, and vLLM loads LORA. {merged}")
        if not settings.max_loras or rank > settings.max_lora_rank:
            raise SettingsError(
                f"the adapter {folder} has rank {rank}, and the engine is set to max_loras={settings.max_loras} and "
                f"max_lora_rank={settings.max_lora_rank}; raise them (--set model.max_lora_rank={max(rank, 8)}). {merged}"
            )
