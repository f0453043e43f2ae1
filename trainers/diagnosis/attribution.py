"""Which training rows moved an answer: similarity of gradients over the weights of an adapter.

The gradient of an answer's negative log-likelihood says in which direction the adapter's weights would have to move to make
the answer likelier. The same is computed for each row: for its best answer, less the mean of its other answers. Rows whose
gradient points in the same direction as that of the answer are those which a further step on them would make it likelier
by (the first-order influence of TracIn, arXiv:2002.08484, at the last weights alone, by cosine). It is no proof of what
training did: the trainer's loss weighs answers differently, and earlier weights had other gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.errors import ModelNotFound, SettingsError, TrainingDataError
from sandbox.models.catalog import local_weights, resolve
from sandbox.store.run import is_run, open_run
from trainers.config_file import CONFIG, read_config
from trainers.rows.kinds import RowKind

if TYPE_CHECKING:
    import torch

_NO_ADAPTER = (
    "{model} has no adapter, over whose weights rows could be compared: train with --set lora=true --set merge=false"
)

# Answers of a row with their shares in its gradient: those that are to become likelier have shares above 0.
Weighted = list[tuple[str, float]]


@dataclass(frozen=True)
class Influence:
    """How a row relates to the answer.

    Attributes:
        similarity: Cosine of both gradients, in [-1, 1]. Above 0, a step on the row makes the answer likelier.
        row: Number of the row, from 1.
        question: What the row asks.
        answer: The row's best answer.
        part: Part of the record that the row comes from, or empty.
        places: Where the answer was given, or was among those that the agent chose from: run, round (from 1) and agent (its
            number in the record).
    """

    similarity: float
    row: int
    question: str
    answer: str
    part: str
    places: tuple[Mapping[str, Any], ...]

    def as_dict(self) -> dict[str, Any]:
        """The influence as plain JSON types."""
        return {**asdict(self), "places": [dict(place) for place in self.places]}


def attribute(
    model: str,
    question: str,
    answer: str,
    *,
    sources: Sequence[str] = (),
    max_length: int = 512,
    on_progress: Callable[[float], Any] | None = None,
) -> list[Influence]:
    """Relate every row of a training to an answer.

    Args:
        model: URI of a trained model whose adapter is not merged.
        question: What is asked, as text.
        answer: The answer that is to be explained.
        sources: Runs or files of rows; none for those that the model's configuration names.
        max_length: Maximum number of tokens of a prompt with its answer.
        on_progress: Receives the share of the rows that was just read.

    Returns:
        One influence for each row, the most similar first.

    Raises:
        ModelNotFound: the model cannot be loaded.
        SettingsError: it has no adapter, or no rows are known.
        TrainingDataError: there is no text to explain, or no row.
    """
    from trainers.likelihood.tokenization import encoder_for

    if not question.strip() or not answer.strip():
        raise TrainingDataError("a question and an answer are needed: sandbox why MODEL ANSWER --question QUESTION")
    folder = _adapter_folder(model)
    rows, runs = _training_rows(model, folder, sources)
    loaded = _load(model)
    encoder = encoder_for(loaded.model, loaded.tokenizer, max_length)
    gradient = _Gradient(loaded.model, encoder)
    wanted = gradient(question, [(answer, 1.0)])
    places = _places(runs)
    found = []
    for number, row in enumerate(rows, 1):
        weighted = weighted_answers(row)
        similarity = _cosine(wanted, gradient(row["prompt"], weighted, row.get("lead") or ""))
        asked = str(row.get("question") or _last_turn(row["prompt"]))
        best = weighted[0][0]
        said = best if (asked, best) in places else best.rpartition("Reason: ")[2]
        where = tuple(places.get((asked, said), []))
        found.append(Influence(similarity, number, asked, best, str(row.get("part") or ""), where))
        if on_progress is not None:
            on_progress(1.0 / len(rows))
    return sorted(found, key=lambda one: -one.similarity)


def weighted_answers(row: Mapping[str, Any]) -> Weighted:
    """The answers of a row with their shares in its gradient, the best one first.

    A ranked row has 1 for the best answer, and for the others shares that sum to -1; rejected answers and bad ones have -1.
    """
    if "completions" in row:
        texts = [_text(one) for one in row["completions"]]
        ratings = list(row["ratings"])
        best = max(range(len(texts)), key=lambda i: ratings[i])
        others = [text for i, text in enumerate(texts) if ratings[i] < ratings[best]]
        return [(texts[best], 1.0), *((text, -1.0 / len(others)) for text in others)]
    if "chosen" in row:
        return [(_text(row["chosen"]), 1.0), (_text(row["rejected"]), -1.0)]
    return [(_text(row["completion"]), 1.0 if row.get("label", True) else -1.0)]


class _Gradient:
    """Gradients of weighted answers over the adapter, as one vector of 32-bit numbers."""

    def __init__(self, model: Any, encoder: Any) -> None:
        self._model, self._encoder = model, encoder
        self._weights = [weight for name, weight in model.named_parameters() if "lora_" in name]
        for weight in model.parameters():
            weight.requires_grad_(False)
        for weight in self._weights:
            weight.requires_grad_(True)

    def __call__(self, prompt: Any, answers: Weighted, lead: str = "") -> torch.Tensor:
        """The gradient of the weighted sum of mean log-likelihoods per token. Shape [weights of the adapter]."""
        import torch

        prompt_ids, answer_ids = self._encoder.encode(prompt, [text for text, _ in answers], lead)
        total: list[torch.Tensor] | None = None
        for ids, (_, share) in zip(answer_ids, answers, strict=True):
            loss = -share * self._likelihood(prompt_ids, ids)
            parts = torch.autograd.grad(loss, self._weights, allow_unused=True)
            filled = [torch.zeros_like(w) if g is None else g for w, g in zip(self._weights, parts, strict=True)]
            total = filled if total is None else [a + b for a, b in zip(total, filled, strict=True)]
        return torch.cat([part.flatten().float() for part in total or []])

    def _likelihood(self, prompt: list[int], answer: list[int]) -> torch.Tensor:
        """Mean log-likelihood of an answer's tokens, in nats. Shape []."""
        import torch

        ids = torch.tensor([prompt + answer], device=self._weights[0].device)
        logits = self._model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1]
        return torch.log_softmax(logits.float(), -1).gather(1, ids[0, len(prompt) :, None]).mean()


def _adapter_folder(model: str) -> Path:
    """The folder of a model that is an adapter.

    Raises:
        ModelNotFound: the model does not exist, or has no local weights.
        SettingsError: it has no adapter.
    """
    from sandbox.models.local.loading import locate

    rest = local_weights(model)
    if rest is None:
        raise ModelNotFound(f"{model} has no local weights: gradients need a model that was trained here, hf:FOLDER")
    folder = Path(locate(rest))
    if not (folder / "adapter_config.json").is_file():
        raise SettingsError(_NO_ADAPTER.format(model=model))
    return folder


def _load(model: str) -> Any:
    """The model with its adapter beside its base.

    Raises:
        ModelNotFound: it cannot be loaded.
        SettingsError: its adapter is of another kind than LoRA.
    """
    from sandbox.models.local.loading import load

    loaded = load(resolve(model)[1], device="cpu", dtype="float32", merge=False)
    if not any("lora_" in name for name, _ in loaded.model.named_parameters()):
        raise SettingsError(_NO_ADAPTER.format(model=model))
    return loaded


def _training_rows(model: str, folder: Path, sources: Sequence[str]) -> tuple[Sequence[Mapping[str, Any]], list[str]]:
    """The rows that a model was trained on, and the runs that they come from.

    Raises:
        SettingsError: they are not known.
        TrainingDataError: there are none.
    """
    from trainers.base import trainer_class
    from trainers.rows.build import rows_from

    config = folder / CONFIG
    if not config.is_file() and not sources:
        raise SettingsError(f"{folder} does not say what it was trained on; name it: --rows RUN or --rows FILE")
    told = read_config(config) if config.is_file() else None
    given = list(sources or (told.rows if told else ()))
    accepts = RowKind.RANKED if told is None or told.trainer is None else trainer_class(told.trainer).accepts
    if accepts is RowKind.PROMPTS or not given:
        raise SettingsError(f"{model} learnt from no recorded answers: there are no rows to compare")
    rated = {} if told is None else {k: v for k, v in (("reward", told.reward), ("dimension", told.dimension)) if v}
    rows: Any = rows_from(given, accepts, **rated)
    if len(rows) == 0:
        raise TrainingDataError(f"{', '.join(given)}: no rows of kind {accepts.value}")
    return rows, [one for one in given if is_run(one)]


def _places(runs: Sequence[str]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Where answers and reasons were given in runs, by question and text; for a reason the agent is the reviewer."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for path in runs:
        for it in open_run(path).interactions():
            place = {"run": path, "round": it.round + 1, "agent": it.agent}
            for text in dict.fromkeys(filter(None, (it.draft, it.revision, *_candidates(it.extra)))):
                found.setdefault((it.question, text), []).append(place)
            for given in it.feedback:
                found.setdefault((it.question, given.rating.reason or ""), []).append(
                    {**place, "agent": given.reviewer}
                )
    return found


def _candidates(extra: Mapping[str, Any]) -> list[str]:
    """Answers that an agent chose from, as the protocol ``back_scatter`` records them."""
    listed = [one for key in ("drafts", "revisions") if isinstance(extra.get(key), list) for one in extra[key]]
    return [str(one["answer"]) for one in listed if isinstance(one, Mapping) and "answer" in one]


def _cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    length = float(one.norm() * other.norm())
    return float(one @ other) / length if length > 0 else 0.0


def _text(answer: Any) -> str:
    """An answer that is a text, or messages of which there is one."""
    return answer if isinstance(answer, str) else str(answer[-1]["content"])


def _last_turn(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else str(prompt[-1]["content"])
