"""HFModel: any causal language model of transformers, with batched requests."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

from sandbox.errors import SettingsError, nearest, require_packages
from sandbox.models.base import Reply, Request
from sandbox.models.local.adapters import SharedBase
from sandbox.models.local.batching import Group, plan
from sandbox.models.local.chat_template import end_of_turn
from sandbox.models.local.choice_scoring import Scored, score
from sandbox.models.local.decoding import Decoder, Row, Written
from sandbox.models.local.field_decoding import with_schemas
from sandbox.models.local.fingerprint import fingerprint
from sandbox.models.local.forward import Forward
from sandbox.models.local.loading import load, load_shared
from sandbox.models.local.prompt_encoder import PromptEncoder, context_length
from sandbox.models.local.replies import chosen_reply, failed_reply, written_reply
from sandbox.process_settings import let_threads_sleep

_LOG = logging.getLogger(__name__)
_DTYPES = ("float32", "bfloat16", "float16", "float64", "auto")
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")

R = TypeVar("R")
OnTokens = Callable[[int], None]


class HFModel:
    """A causal language model from the bundled weights, a folder, a hub name, or an adapter on any of these.

    Sampling depends only on ``Request.seed``, so that the same request gives the same reply in any batch, up to rounding, which
    depends on the shape of the batch: it rarely changes a token in ``float32``, never has in ``float64``, and often does in
    ``bfloat16`` and ``float16``.

    Args:
        rest: The part of the URI after ``hf:``: ``smollm2`` (the bundled model), a folder, or a hub name.
        device: Device name of torch; by default the first GPU, else the CPU.
        dtype: ``float32``, ``bfloat16``, ``float16`` or ``float64``; or ``auto``, which is ``bfloat16`` if it is faster on
            the device, else ``float32``. The default ``float32`` makes replies independent of batches.
        batch_tokens: Maximum number of tokens in a batch, including padding and replies; bounds memory.
        max_batch: Maximum number of requests in a batch; on a CPU more than 32 bring no gain.
        top_k: Sample only from this many most probable tokens; 0 samples from the whole vocabulary and is slower.
        threads: Threads of torch in this process; by default torch's choice.
        merge: Merge an adapter into the weights of its base, which is faster. Without merging, models on one base share
            it in memory, and run one at a time.
        share: Read common prefixes of prompts only once.
        attn_implementation: Attention of transformers: ``sdpa``, ``eager``, ``flash_attention_2``, ...; by default its
            choice.

    Attributes:
        uri: ``hf:`` and ``rest``.
        fingerprint: Hash of the weights, including adapters.
        default_rater: ``values`` for the bundled model and models trained from it, which are poor judges; else ``lm``.
        model: The model of transformers.
        tokenizer: Its tokenizer.
        notes: What is done otherwise than its files say, one line each.

    Raises:
        ModelNotFound: the model does not exist, or is not a causal language model.
        SettingsError: a setting is out of range.
        ToolNotFound: torch or transformers is not installed.
    """

    # The catalog gives the same object to all users of a model.
    shareable = True

    def __init__(
        self,
        rest: str,
        *,
        device: str | None = None,
        dtype: str = "float32",
        batch_tokens: int = 16384,
        max_batch: int = 32,
        top_k: int = 64,
        threads: int | None = None,
        merge: bool = True,
        share: bool = True,
        attn_implementation: str | None = None,
    ) -> None:
        require_packages(f"model 'hf:{rest}'", "torch", "transformers")
        let_threads_sleep()
        import torch

        _check(device=device, dtype=dtype, at_least_one=(batch_tokens, max_batch, threads), top_k=top_k)
        if threads is not None:
            torch.set_num_threads(threads)
        place = device or ("cuda" if torch.cuda.is_available() else "cpu")
        how: dict[str, Any] = {
            "device": place,
            "dtype": fast_dtype(place) if dtype == "auto" else dtype,
            "attn_implementation": attn_implementation,
        }
        self._base: SharedBase | None = None
        self._voice: str | None = None
        if merge:
            loaded = load(rest, **how)
        else:
            loaded, self._base, self._voice = load_shared(rest, self, **how)
        self.uri = f"hf:{rest}"
        self.fingerprint = fingerprint(loaded.folders)
        self.default_rater = "values" if loaded.from_bundled else "lm"
        self.model = loaded.model
        self.tokenizer = loaded.tokenizer
        self._batch_tokens, self._max_batch, self._share = batch_tokens, max_batch, share
        self.notes = list(loaded.notes)
        for note in self.notes:
            _LOG.warning("%s", note)
        embeddings = int(loaded.model.get_input_embeddings().weight.shape[0])
        self._encoder = PromptEncoder(loaded.tokenizer, context_length(loaded.model.config), embeddings)
        ends = _ends(loaded.model, loaded.tokenizer)
        pad = loaded.tokenizer.pad_token_id
        self._forward = Forward(loaded.model, min(ends, default=0) if pad is None else pad)
        self._decoder = Decoder(self._forward, loaded.tokenizer, ends, top_k)

    def generate(self, requests: Sequence[Request], on_tokens: OnTokens | None = None) -> list[Reply]:
        """Answer every request, in order. A failed request gives ``Reply.error``.

        For ``Request.choices`` nothing is sampled: ``Reply.choice_probs`` are the model's probabilities at temperature 1,
        and the text is the most probable choice. For ``Request.schema`` see :mod:`sandbox.models.local.field_decoding`.

        Args:
            requests: Requests of any kind; they are batched by length.
            on_tokens: Callback, receives the number of tokens of each decoding step.
        """
        return with_schemas(lambda asked: self._generate(asked, on_tokens), requests)

    def _generate(self, requests: Sequence[Request], on_tokens: OnTokens | None) -> list[Reply]:
        replies: list[Reply | None] = [None] * len(requests)
        waiting: dict[int, Row] = {}
        asked: dict[int, list[Scored]] = {}
        for number, request in enumerate(requests):
            try:
                if request.choices:
                    asked[number] = self._encoder.choices(request)
                else:
                    waiting[number] = self._encoder.row(request)
            except Exception as error:  # the boundary: a failed request is data
                replies[number] = failed_reply(f"{self.uri} cannot read the request: {error}")
        with self._base.speaking(self._voice) if self._base is not None else nullcontext():
            self._write(waiting, replies, on_tokens)
            self._score(requests, asked, replies)
        return [reply if reply is not None else failed_reply("no reply") for reply in replies]

    # -- from rows to replies ---------------------------------------------------------------------------------

    def _write(self, waiting: dict[int, Row], replies: list[Reply | None], on_tokens: OnTokens | None) -> None:
        numbers, rows = list(waiting), list(waiting.values())

        def work(groups: Sequence[Group]) -> list[Written]:
            return self._decoder.write(rows, groups, on_tokens)

        results = self._batched(work, [row.ids for row in rows], [row.max_tokens for row in rows])
        for number, row, result in zip(numbers, rows, results, strict=True):
            if isinstance(result, str):
                replies[number] = failed_reply(result, len(row.ids))
            else:
                replies[number] = written_reply(result.text, len(row.ids), result.tokens, result.reason)

    def _score(self, requests: Sequence[Request], asked: dict[int, list[Scored]], replies: list[Reply | None]) -> None:
        rows = [row for scored in asked.values() for row in scored]

        def work(groups: Sequence[Group]) -> list[list[float]]:
            return score(self._forward, rows, groups)

        # Scored tokens must not be part of the shared prefix, which is read first.
        heads = [row.ids[: len(row.ids) - len(row.endings[0]) + 1] for row in rows]
        results = iter(self._batched(work, heads, [len(row.endings[0]) for row in rows]))
        for number, scored in asked.items():
            read = len(scored[0].ids)
            nats: list[float] = []
            for result in [next(results) for _ in scored]:
                if isinstance(result, str):
                    replies[number] = failed_reply(result, read)
                else:
                    nats += result
            if replies[number] is None:
                replies[number] = chosen_reply(requests[number].choices, nats, read)

    def _batched(
        self,
        work: Callable[[Sequence[Group]], Sequence[R]],
        prompts: Sequence[Sequence[int]],
        new_tokens: Sequence[int],
    ) -> list[R | str]:
        """Run rows in batches; a batch that fails is halved until the faulty row is alone, which gives the error."""
        import torch

        results: list[R | str] = ["not run"] * len(prompts)

        def planned(rows: Sequence[int], max_batch: int) -> list[list[Group]]:
            batches = plan(
                [prompts[row] for row in rows],
                [new_tokens[row] for row in rows],
                max_batch=max_batch,
                batch_tokens=self._batch_tokens,
                share=self._share,
            )
            return [[Group(tuple(rows[i] for i in g.rows), g.shared) for g in batch] for batch in batches]

        batches = deque(planned(range(len(prompts)), self._max_batch))
        while batches:
            batch = batches.popleft()
            members = _rows(batch)
            try:
                with torch.inference_mode():
                    done = work(batch)
            except Exception as error:  # the boundary: a failed call is data
                failure = f"{type(error).__name__}: {error}"
                no_memory = isinstance(error, MemoryError) or any(w in str(error).lower() for w in _OUT_OF_MEMORY)
            else:
                for row, result in zip(members, done, strict=True):
                    results[row] = result
                continue
            # Outside the handler, whose traceback would keep the memory of the batch.
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if len(members) == 1:
                results[members[0]] = failure
            elif no_memory:
                self._max_batch = len(members) // 2
                _LOG.warning(
                    "out of memory with batches of %d requests; continuing with %d", len(members), self._max_batch
                )
                left = sorted([*members, *(row for waiting in batches for row in _rows(waiting))])
                batches = deque(planned(left, self._max_batch))
            else:
                batches.extendleft(reversed(planned(members, len(members) // 2)))
        return results


def fast_dtype(device: str) -> str:
    """``bfloat16`` if it is faster on the device than ``float32``, else ``float32``."""
    import torch

    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device != "cpu":
        return "float32"
    can = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return "bfloat16" if any(can.get(name) for name in ("avx512_bf16", "amx_bf16", "sve_bf16")) else "float32"


def _rows(batch: Sequence[Group]) -> list[int]:
    return [row for group in batch for row in group.rows]


def _check(*, device: str | None, dtype: str, at_least_one: Sequence[int | None], top_k: int) -> None:
    import torch

    faults = []
    if dtype not in _DTYPES:
        faults.append(f"dtype={dtype!r} is not one of {', '.join(_DTYPES)}.{nearest(dtype, _DTYPES)}")
    if any(n is not None and n < 1 for n in at_least_one):
        faults.append("batch_tokens, max_batch and threads must be at least 1")
    if top_k < 0:
        faults.append(f"top_k={top_k} must be at least 1, or 0 for the whole vocabulary")
    if device is not None:
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            faults.append(f"device={device!r} cannot be used: {str(error).splitlines()[0]}")
    if faults:
        raise SettingsError("a local language model cannot be set up: " + "; ".join(faults))


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a reply: those named by the model, and those that a reply cannot contain."""
    said = model.generation_config.eos_token_id
    listed = said if isinstance(said, list) else [said]
    end = end_of_turn(tokenizer)
    turn = tokenizer.convert_tokens_to_ids(end) if end else None
    named = (turn, tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id)
    return frozenset(int(i) for i in (*listed, *named) if i is not None)
