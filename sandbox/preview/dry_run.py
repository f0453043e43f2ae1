"""Dry run: sets up a society with a stand-in model, to check it and to estimate calls and tokens."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sandbox import registry
from sandbox.models.base import LanguageModel, Reply, Request, complete_model
from sandbox.models.catalog import WEIGHTS_HERE, resolve
from sandbox.models.json_replies import example
from sandbox.models.local.bundled import BUNDLED
from sandbox.models.pool import split_model_settings
from sandbox.records import Rating
from sandbox.scenario.population import are_shares, read_models
from sandbox.scenario.scenario import Scenario
from sandbox.seeding import keyed_rng
from sandbox.store.run import is_run, open_run
from sandbox.world import World

# Maximum number of simulated interactions; the estimate is scaled to the rest.
_ENOUGH = 20_000
_NOTHING_KEPT = {"resume": False, "out": None, "max_calls": None, "max_tokens_total": None, "max_cost": None}
_CHARACTERS_A_TOKEN = 4  # of English, with common tokenizers
_FILLER = "It depends on what the people who live there have agreed on before. "


@dataclass(frozen=True)
class Forecast:
    """Estimate of a run.

    Attributes:
        interactions: Number of interactions.
        calls: Number of calls to language models.
        prompt_tokens: Tokens of the prompts; estimated at four characters per token.
        completion_tokens: Maximum number of tokens of the replies: every reply at full length.
        failed: Share of the simulated interactions that failed on placeholder replies, in [0, 1]; later calls of these are
            not counted.
    """

    interactions: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    failed: float

    def as_dict(self) -> dict[str, Any]:
        """Return the estimate as plain JSON types."""
        return asdict(self)


def forecast(scenario: str | Scenario, *, rounds: int, **settings: Any) -> Forecast:
    """Estimate the calls and tokens of a run, from conversations with placeholder replies.

    Args:
        scenario: As for :class:`~sandbox.world.World`.
        rounds: Total number of rounds.
        **settings: As for the world; with ``resume``, interactions stored in ``out`` are left out.

    Raises:
        SandboxError: the society cannot be set up.
    """
    done = rounds_done = 0  # interactions of the round that is not complete, and complete rounds
    out, branch = settings.get("out"), settings.get("branch")
    if settings.get("resume") and out is not None and is_run(out):
        run = open_run(out)
        done, rounds_done = len(run.interactions(run.rounds)), run.rounds
        if run.changes():  # whoever lives now is asked
            settings = {**settings, "branch": f"{out}@{rounds_done}", "population": None}
    elif branch is not None:
        rounds_done = int(branch.rpartition("@")[2]) if branch.rpartition("@")[2].isdigit() else 0
    model = _CountingModel(_default_rater(settings))
    world = dry_run_world(scenario, {**settings, **_NOTHING_KEPT}, model=model)
    try:
        rounds_left = max(0, rounds - rounds_done)
        tried = min(rounds_left, max(1, _ENOUGH // len(world.active_agents() or world.members)))
        held = failed = 0
        for _ in range(tried):
            world.step()
            held += world.metrics["interactions"]
            failed += world.metrics["failed"]
    finally:
        world.close()
    left = max(0, round(rounds_left * held / max(1, tried)) - done)
    held = max(1, held)
    calls, read, written = (round(left / held * n) for n in (model.calls, model.read, model.written))
    return Forecast(left, calls, read, written, failed / held)


def dry_run_world(scenario: str | Scenario, settings: Mapping[str, Any], *, model: LanguageModel) -> World:
    """Set up a world with ``model`` in place of its language models, and with a constant rater and a hashing embedder.

    The models, raters and embedder of the settings must exist; they are not loaded.

    Raises:
        SandboxError: the society cannot be set up.
    """
    for given in models_of(settings):
        if isinstance(given, str):
            registry.load("models", resolve(given)[0])
    changed: dict[str, Any] = {"model": model, "observer": None, "embedder": "hashing"}
    dealt = read_models(settings.get("model", ""))
    if "" not in dealt and not are_shares(dealt):
        changed["model"] = dict.fromkeys(dealt, model)
    if isinstance(embedder := settings.get("embedder"), str):
        registry.load("embedders", embedder.partition(":")[0])
    for name in ("rater", "observer_rater"):
        given = settings.get(name) or (model.default_rater if name == "rater" else None)
        kind = given.partition(":")[0] if isinstance(given, str) else getattr(given, "name", None)
        if isinstance(given, str):
            registry.load("raters", str(kind))
        if kind is not None and kind != "lm":
            changed[name] = _ConstantRater(
                str(kind),
                _candidates(given if isinstance(given, str) else None, given),
                is_default=not settings.get(name),
            )
    # The stand-in model has no use for model settings and replicas; their names are checked all the same.
    of_models = {name: value for name, value in settings.items() if not name.startswith("memory.")}
    voices, _ = split_model_settings(of_models, replicas=settings.get("replicas") or 1, engine=settings.get("engine"))
    voices.check(models_of({k: v for k, v in settings.items() if k != "observer"}), settings.get("observer"))
    kept = {
        k: v
        for k, v in settings.items()
        if ("." not in k or k.startswith("memory.")) and k not in ("replicas", "engine")
    }
    return World(scenario, **{**kept, **changed})


def _candidates(name: str | None, rater: Any) -> int:
    """Candidates by default of a rater, given by name or itself."""
    made = rater if name is None else registry.load("raters", name.partition(":")[0])
    return int(getattr(made, "default_candidates", 1))


def models_of(settings: Mapping[str, Any]) -> list[Any]:
    """The language models, as URIs or objects, of a world with these settings."""
    dealt = read_models(settings.get("model", inspect.signature(World).parameters["model"].default))
    found = list(dealt) if are_shares(dealt) else list(dealt.values())
    return found if settings.get("observer") is None else [*found, settings["observer"]]


def _default_rater(settings: Mapping[str, Any]) -> str:
    """The default rater of the agents' first model, without loading the model."""
    model = models_of(settings)[0]
    if not isinstance(model, str):
        return complete_model(model).default_rater
    kind, rest = resolve(model)
    given = getattr(registry.load("models", kind), "default_rater", None)
    if isinstance(given, str):
        return given
    for _ in range(16):  # follow a trained model to its base, and so on
        if kind in WEIGHTS_HERE and rest == BUNDLED:
            return "values"
        note = Path(rest) / "training.json"
        if not note.is_file():
            break
        rest = (
            str(json.loads(note.read_text(encoding="utf-8")).get("base") or "")
            .removeprefix("hf:")
            .removeprefix("vllm:")
        )
    return "lm"


class _CountingModel:
    """Answers every request at full length, and counts calls and tokens."""

    uri = "dry-run:"
    fingerprint = "dry-run"

    def __init__(self, default_rater: str) -> None:
        self.default_rater = default_rater
        self.calls = self.read = self.written = 0

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        characters = sum(len(m.content) for m in request.messages) + len(request.prefix)
        read = -(-characters // _CHARACTERS_A_TOKEN)
        written = 1 if request.choices else request.max_tokens
        self.calls += 1
        self.read += read
        self.written += written
        if request.choices:
            probs = {choice: 1 / len(request.choices) for choice in request.choices}
            return Reply(request.choices[0], probs, read, written)
        if request.schema:
            return Reply(json.dumps(example(json.loads(request.schema), keyed_rng(request.seed))), None, read, written)
        length = written * _CHARACTERS_A_TOKEN
        # All answers differ; observers would score equal ones only once.
        text = f"{request.seed % 10**6} {_FILLER * (length // len(_FILLER) + 1)}"
        return Reply(text[:length].strip(), None, read, written)


class _ConstantRater:
    """Rates every answer with the middle of the scale."""

    def __init__(self, name: str, default_candidates: int = 1, *, is_default: bool = False) -> None:
        self.name = name
        self.default_candidates = default_candidates
        self.is_default = is_default

    def rate(self, items: Sequence[tuple[str, str]], *, rater_of: Any) -> list[Rating]:
        return [Rating((1 + rater_of.scale) / 2)] * len(items)
