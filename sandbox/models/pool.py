"""The language models of a society, with their settings and replicas.

Settings of models have names with a dot, beside those of the society: ``model.dtype`` is for the models of agents,
``observer.timeout_s`` for that of observers, ``embedder.key_env`` for the embedder, and ``replicas.gpus`` for replicas.
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
        model: Settings of the agents' models; each model gets those that its kind has.
        observer: Settings of the observers' model, if it differs from the agents'.
        embedder: Settings of the embedder.
        replicas: Number of copies of each local model.
        engine: Where the copies run; see :class:`~sandbox.models.replicas.replicas.Replicas`.
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
        """Stop the replicas, if any."""
        while self._made:
            self._made.pop().close()

    def manifest_entry(self) -> dict[str, Any]:
        """The settings, for the manifest; a run may be resumed with others."""
        groups = {"model": self.model, "observer": self.observer, "embedder": self.embedder, "replicas": self.copies}
        asked = {f"{group}.{name}": value for group, given in groups.items() for name, value in given.items()}
        return {"model_settings": asked} if asked else {}

    def check(self, models: Iterable[Any], observer: Any = None) -> None:
        """Refuse settings that no model has, without loading any model.

        Raises:
            SettingsError: names each, and the nearest known one.
        """
        known = {name for model in models if isinstance(model, str) for name in settings_of(model)}
        check_settings("model", self.model, known)
        if isinstance(observer, str):
            check_settings("observer", self.observer, settings_of(observer))

    def load_agents(self, models: Iterable[str | LanguageModel]) -> list[LanguageModel]:
        """Load the models of agents.

        Adapters on the same base, and the base itself, share its weights in memory.

        Raises:
            SettingsError: none of the models has a setting.
            ModelNotFound: a model does not exist.
        """
        given = list(models)
        uris = [model for model in given if isinstance(model, str)]
        known = {uri: settings_of(uri) for uri in uris}
        self.check(uris)
        if self.model and len(uris) < len(given):
            raise SettingsError(
                "settings of models (model.*) apply to models given by URI; give others their settings where they are made"
            )
        common = shared_bases(uris) if self.replicas == 1 else set()
        return [self._load(model, known, common) if isinstance(model, str) else load_model(model) for model in given]

    def load_observer(self, model: str | LanguageModel, agents: Iterable[LanguageModel]) -> LanguageModel:
        """Load the observers' model; the agents' model object if it is the same with the same settings."""
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
    """Separate the settings of models from the others.

    Args:
        settings: Settings of a world.
        replicas: Number of copies of each local model.
        engine: Where the copies run; None for none if one copy is enough.

    Returns:
        The pool, and the remaining settings.

    Raises:
        SettingsError: the group of a setting is unknown, or replicas are not possible.
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
                f"no settings {group}.*{nearest(group, _GROUPS)} Groups are {', '.join(f'{g}.*' for g in _GROUPS)}"
            )
    check_replicas(replicas, engine or "processes")
    check_settings("replicas", groups["replicas"], _OF_REPLICAS)
    copies = typed("replicas", groups["replicas"], _OF_REPLICAS)
    return ModelPool(groups["model"], groups["observer"], groups["embedder"], replicas, engine, copies), left


def shared_bases(uris: Iterable[str]) -> set[str]:
    """Group models that can share a base in memory: adapters on the same base, and the base itself."""
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
