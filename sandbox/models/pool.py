"""What a society speaks through: its language models, with their settings, in as many copies as are asked for.

Settings of models stand beside those of the society under names with a dot: ``model.dtype`` is told to the agents'
models, ``observer.timeout_s`` to the observer's, ``embedder.key_env`` to the embedder, and ``replicas.gpus`` to the
copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox import registry
from sandbox.errors import SettingsError, nearest
from sandbox.models.base import LanguageModel
from sandbox.models.catalog import full_uri, load_model, resolve, settings_of
from sandbox.models.replicas.replicas import Replicas, check_replicas
from sandbox.typed_settings import check_settings, typed

_GROUPS = ("model", "observer", "embedder", "replicas")
_OF_REPLICAS = {"cpus": int | None, "gpus": float, "start_s": float}


@dataclass
class ModelPool:
    """The language models of one society, each loaded once.

    Attributes:
        model: Settings of the agents' models; each goes to every model whose kind has it.
        observer: Settings of the observer's, where it has a model of its own.
        embedder: Settings of the embedder.
        replicas: How many copies of each local model.
        engine: Where copies live; see :class:`~sandbox.models.replicas.replicas.Replicas`.
        copies: Settings of the copies.
    """

    model: dict[str, Any] = field(default_factory=dict)
    observer: dict[str, Any] = field(default_factory=dict)
    embedder: dict[str, Any] = field(default_factory=dict)
    replicas: int = 1
    engine: str | None = None
    copies: dict[str, Any] = field(default_factory=dict)
    _made: list[Replicas] = field(default_factory=list)

    def close(self) -> None:
        """End the copies, if any."""
        while self._made:
            self._made.pop().close()

    def manifest_entry(self) -> dict[str, Any]:
        """What was asked for, for the manifest; resuming a run with other settings is nobody's fault."""
        groups = {"model": self.model, "observer": self.observer, "embedder": self.embedder, "replicas": self.copies}
        asked = {f"{group}.{name}": value for group, given in groups.items() for name, value in given.items()}
        return {"model_settings": asked} if asked else {}

    def check(self, models: Iterable[Any], observer: Any = None) -> None:
        """Refuse settings that no model knows, without loading any.

        Raises:
            SettingsError: names each, and the nearest.
        """
        known = {name for model in models if isinstance(model, str) for name in settings_of(model)}
        check_settings("model", self.model, known)
        if isinstance(observer, str):
            check_settings("observer", self.observer, settings_of(observer))

    def load_agents(self, models: Iterable[str | LanguageModel]) -> list[LanguageModel]:
        """Load what agents speak through.

        Adapters on the same base, and the base itself, share its weights in memory.

        Raises:
            SettingsError: a setting is known to none of them.
            ModelNotFound: one is not there.
        """
        given = list(models)
        uris = [model for model in given if isinstance(model, str)]
        known = {uri: settings_of(uri) for uri in uris}
        self.check(uris)
        if self.model and len(uris) < len(given):
            raise SettingsError(
                "settings of models (model.*) are for models given by URI; give others where they are made"
            )
        common = shared_bases(uris) if self.replicas == 1 else set()
        return [self._load(model, known, common) if isinstance(model, str) else model for model in given]

    def load_observer(self, model: str | LanguageModel, agents: Iterable[LanguageModel]) -> LanguageModel:
        """Load what the observer speaks through; the agents' own model if it is the same and has the same settings."""
        if not isinstance(model, str):
            return load_model(model, **self.observer)
        for lm in agents:
            if lm.uri == full_uri(model) and self.observer in ({}, self.model):
                return lm
        check_settings("observer", self.observer, settings_of(model))
        return self._copied(model, self.observer)

    def _load(self, uri: str, known: Mapping[str, Iterable[str]], common: set[str]) -> LanguageModel:
        settings = {name: value for name, value in self.model.items() if name in known[uri]}
        return self._copied(uri, {"merge": False, **settings} if uri in common else settings)

    def _copied(self, uri: str, settings: Mapping[str, Any]) -> LanguageModel:
        is_remote = hasattr(registry.load("models", resolve(uri)[0]), "agenerate")
        if is_remote or (self.replicas == 1 and self.engine is None):
            return load_model(uri, **settings)
        engine: Any = self.engine or "processes"
        self._made.append(Replicas(uri, self.replicas, engine=engine, **self.copies, **settings))
        return self._made[-1]


def split_model_settings(
    settings: Mapping[str, Any], *, replicas: int, engine: str | None
) -> tuple[ModelPool, dict[str, Any]]:
    """Tell the models' settings from the others.

    Args:
        settings: Of a world.
        replicas: How many copies of each local model.
        engine: Where they live; None for no copies where one is enough.

    Returns:
        The voices, and the settings that are left.

    Raises:
        SettingsError: a setting's group is unknown, or copies cannot be had.
    """
    groups: dict[str, dict[str, Any]] = {name: {} for name in _GROUPS}
    left = {}
    for name, value in settings.items():
        group, dot, own = name.partition(".")
        if not dot:
            left[name] = value
        elif group in groups:
            groups[group][own] = value
        else:
            raise SettingsError(
                f"no settings {group}.*{nearest(group, _GROUPS)} With a dot there are {', '.join(f'{g}.*' for g in _GROUPS)}"
            )
    check_replicas(replicas, engine or "processes")
    check_settings("replicas", groups["replicas"], _OF_REPLICAS)
    copies = typed("replicas", groups["replicas"], _OF_REPLICAS)
    return ModelPool(groups["model"], groups["observer"], groups["embedder"], replicas, engine, copies), left


def shared_bases(uris: Iterable[str]) -> set[str]:
    """Which of some models can share one base in memory: adapters on the same, and the base itself."""
    from sandbox.models.local.loading import base_of

    bases: dict[str, list[str]] = {}
    adapters = set()
    for uri in dict.fromkeys(uris):
        kind, rest = resolve(uri)
        if kind == "hf":
            base = base_of(rest)
            bases.setdefault(str(base), []).append(uri)
            if base != rest:
                adapters.add(uri)
    groups = [group for group in bases.values() if len(group) > 1 and adapters.intersection(group)]
    return {uri for group in groups for uri in group}
