"""Number of steps of each trainer for equal numbers of tokens.

A prompt counts with each of its answers, each time they are trained on; other computation, such as a reference model, does not
count, but shows in the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.errors import SandboxError
from sandbox.models.catalog import resolve
from sandbox.parallel import run_in_subprocess
from trainers.base import load_trainer
from trainers.rows.files import read_rows
from trainers.rows.kinds import RowKind

if TYPE_CHECKING:
    from trainers.comparison.plan import ComparisonPlan
    from trainers.comparison.settings import ComparisonSettings


def token_budgets(
    plan: ComparisonPlan, held: ComparisonSettings, settings: Mapping[str, Mapping[str, Any]],
    files: Mapping[RowKind, Path], kinds: Mapping[str, RowKind],
) -> dict[str, dict[str, int]]:  # fmt: skip
    """Steps of each trainer, and the approximate number of tokens in them."""
    known: dict[str, float] = plan.kept["tokens_a_step"]
    left = [(name, dict(settings[name]), files[kinds[name]].absolute()) for name in kinds if name not in known]
    if left:
        # In a separate process, to release its memory.
        ended = run_in_subprocess(_tokens_a_step, (held.base, left, files[RowKind.RANKED].absolute()))
        if ended.crash is not None:
            raise SandboxError(f"the tokens of the rows could not be counted: {ended.crash}")
        each, plan.kept["tokens_in_all"] = ended.result
        known |= each
        plan.save()
    budget = held.tokens if held.tokens is not None else 3 * plan.kept["tokens_in_all"]
    found = {}
    for name in kinds:
        steps = held.steps if held.steps is not None else max(1, round(budget / known[name]))
        found[name] = {"steps": steps, "tokens": round(steps * known[name])}
    return found


def _tokens_a_step(job: tuple[str, list[tuple[str, dict[str, Any], Path]], Path]) -> tuple[dict[str, float], int]:
    """Mean tokens per step of each trainer, and the tokens of all ranked rows."""
    from trainers.likelihood.tokenization import MAX_LENGTH, encoder_for

    base, asked, ranked = job
    from sandbox.models.local.loading import load

    loaded = load(resolve(base)[1], device="cpu", dtype="float32")

    def tokens(path: Path, settings: Any) -> list[int]:
        encoder = encoder_for(loaded.model, loaded.tokenizer, getattr(settings, "max_length", MAX_LENGTH))
        counts = []
        for row in read_rows(path):
            prompt, answers = encoder.encode(row["prompt"], _answers(row))
            read = sum(len(prompt) + len(answer) for answer in answers)
            # An online trainer: its number of answers, at maximum length.
            drawn = getattr(settings, "answers", 1) * (len(prompt) + getattr(settings, "max_tokens", 0))
            counts.append(read or drawn)
        return counts

    found = {}
    for name, given, path in asked:
        settings = load_trainer(name, **given).settings
        counts = tokens(path, settings)
        rows = settings.batch_size * getattr(settings, "gradient_accumulation", 1)
        found[name] = rows * sum(counts) / len(counts)
    return found, sum(tokens(ranked, None))


def _answers(row: Mapping[str, Any]) -> list[Any]:
    """All answers of a row of any kind."""
    if "completions" in row:
        return list(row["completions"])
    return [row[name] for name in ("chosen", "rejected", "completion") if name in row]
