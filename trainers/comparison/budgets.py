"""How many steps of each trainer come to the same number of tokens.

A prompt counts with each of its answers, each time they are trained on; what a trainer reads beside, as a reference
model's likelihoods, does not count and shows in its time.
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
    """Steps of each trainer, and the tokens in them, about."""
    known: dict[str, float] = plan.kept["tokens_a_step"]
    left = [(name, dict(settings[name]), files[kinds[name]].absolute()) for name in kinds if name not in known]
    if left:
        # In a process of its own, for its memory.
        ended = run_in_subprocess(_tokens_a_step, (held.base, left, files[RowKind.RANKED].absolute()))
        if ended.death is not None:
            raise SandboxError(f"the tokens of the rows could not be counted: {ended.death}")
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
    """Mean tokens in a step of each trainer, and those of all ranked rows."""
    from trainers.likelihood.tokenization import Encoder

    base, asked, ranked = job
    from sandbox.models.local.loading import load

    tokenizer = load(resolve(base)[1], device="cpu", dtype="float32").tokenizer

    def tokens(path: Path, settings: Any) -> list[int]:
        encoder = Encoder(tokenizer, getattr(settings, "max_length", 1024))
        counts = []
        for row in read_rows(path):
            prompt, answers = encoder.encode(row["prompt"], _answers(row))
            read = sum(len(prompt) + len(answer) for answer in answers)
            # A trainer that answers itself: as many answers as it asks for, as long as they may be.
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
    """Every answer of a row of any kind."""
    if "completions" in row:
        return list(row["completions"])
    return [row[name] for name in ("chosen", "rejected", "completion") if name in row]
