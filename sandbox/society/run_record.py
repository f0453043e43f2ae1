"""Opening of a world's run folder, and the identity that a resumed run must share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sandbox.errors import RunExists
from sandbox.store.manifest import check_same, doc_summary, environment, scenario_identity, short_hash
from sandbox.store.run import is_run
from sandbox.store.writer import RunWriter

if TYPE_CHECKING:
    from sandbox.society.context import EngineContext


def open_writer(
    world: EngineContext, command: str, *, resume: bool, branch: str | None, models: Mapping[str, Any]
) -> RunWriter:
    """Open the run's folder: a new one, one to go on with, or one that branches from another.

    Args:
        world: Complete but for its record.
        command: How to repeat the run.
        resume: Go on with the run that is there, if any.
        branch: As it was asked for.
        models: Who speaks through what, as :func:`sandbox.scenario.population.read_models` has it.

    Raises:
        RunExists: another run is there.
        RunLocked: another process writes to it.
    """
    identity = _identity(world, models)
    manifest = {
        "command": command,
        **identity,
        "embedding_dim": world.embedder.dim,
        "notes": world.notes,
        **world.voices.manifest_entry(),
        "measures": {name: doc_summary(measure) for name, measure in world.scenario.measures.items()},
        **environment(),
    }
    source = None
    if world.origin is not None and world.origin.rounds is not None:
        manifest |= {"from": branch, "birth_seed": world.birth_seed}
        source = (world.origin.path, world.origin.rounds)
    is_new = not is_run(world.path)
    store = RunWriter(world.path, manifest, resume=resume, branch=source)
    try:
        check_same(world.path, store.manifest, identity)
    except RunExists:
        store.close()
        raise
    store.add_agents(
        ((a.index, a.name, a.label, *world.space.position(a)) for a in world.members),
        (a.lm.uri for a in world.members),
        (dict(a.persona) for a in world.members),
    )
    if not is_new:
        prices = {lm.uri: getattr(lm, "prices", None) for lm in (*{a.lm for a in world.members}, world.observer_lm)}
        spent = store.manifest["tokens"].get("usd", 0.0)  # the same request asked twice is paid twice, and kept once
        store.manifest["tokens"] = store.call_counts(prices)
        if "usd" in store.manifest["tokens"]:
            store.manifest["tokens"]["usd"] = max(spent, store.manifest["tokens"]["usd"])
        store.manifest["measures"] = manifest["measures"]  # they may have been added to since
    return store


def _identity(world: EngineContext, models: Mapping[str, Any]) -> dict[str, Any]:
    """What a run is: whoever goes on with it must share all of this."""
    speaking = list({id(a.lm): a.lm for a in world.members}.values())
    agents: dict[str, Any] = {
        "uri": ",".join(lm.uri for lm in speaking),
        "fingerprint": ",".join(lm.fingerprint for lm in speaking),
    }
    if set(models) != {""}:
        agents["dealt"] = {
            name: given if isinstance(given, float) else str(getattr(given, "uri", given))
            for name, given in models.items()
        }
    found = {
        **scenario_identity(world.scenario),
        "protocol": world.protocol_name,
        "size": world.size,
        "population": world.population,
        "seed": world.seed,
        "models": {
            "agents": agents,
            "observer": {"uri": world.observer_lm.uri, "fingerprint": world.observer_lm.fingerprint},
        },
        "raters": world.rater_names,
        "embedder": world.embedder.name,
        "settings": {**asdict(world.society), "observer_rater": world.observer_rater_name},
    }
    if not world.society.on_grid:
        # A file may have changed under its name.
        links = sorted(tuple(sorted(link)) for link in world.space.G.edges())
        found["network"] = {"nodes": len(world.space.G), "links": len(links), "hash": short_hash(str(links))}
    return found
