"""Opening of a world's run folder, and the identity that a resumed run must share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sandbox.errors import RunExists
from sandbox.folders import check_same_identity
from sandbox.scenario.measure import read_measures
from sandbox.society.agent import SocialAgent
from sandbox.society.setup import SocietySetup
from sandbox.store.manifest import doc_summary, environment, scenario_identity, short_hash
from sandbox.store.run import is_run
from sandbox.store.writer import RunWriter


def open_writer(
    setup: SocietySetup,
    members: Sequence[SocialAgent],
    path: Path,
    *,
    notes: Sequence[str],
    command: str,
    resume: bool,
) -> RunWriter:
    """Open the run folder: a new one, one to resume, or one that branches from another run.

    Args:
        setup: The society.
        members: Its agents, placed.
        path: The run folder.
        notes: Warnings for the manifest.
        command: Command that repeats the run.
        resume: Resume the run in the folder, if there is one.

    Raises:
        RunExists: the folder holds another run.
        RunLocked: another process writes to it.
    """
    identity = _identity(setup)
    measures = read_measures(setup.scenario.measures)
    manifest = {
        "command": command,
        **identity,
        "scenario_source": json.loads(json.dumps(setup.source, default=str)),
        "embedding_dim": setup.embedder.dim,
        "notes": list(notes),
        **setup.pool.manifest_entry(),
        "measures": {name: doc_summary(one.function) for name, one in measures.items()},
        **environment(),
    }
    if axes := {name: axis for name, one in measures.items() if (axis := one.axis)}:
        manifest["measure_axes"] = axes
    manifest["upbringing"] = sorted(label for label, pairs in setup.upbringing.items() if pairs)
    if len(setup.stages) > 1:
        manifest["stages"] = list(setup.stages)
    if setup.scenario.groups is not None:
        manifest["groups"] = True
    if setup.scenario.reward:
        manifest["rewards"] = {
            name: {"description": doc_summary(one.function), "discount": one.discount, "unit": one.unit}
            for name, one in setup.scenario.rewards.items()
        }
    source = None
    if setup.prior is not None and setup.prior.rounds is not None:
        manifest |= {"from": setup.branch, "birth_seed": setup.birth_seed}
        source = (setup.prior.path, setup.prior.rounds)
    is_new = not is_run(path)
    store = RunWriter(path, manifest, resume=resume, branch=source)
    # Runs recorded before there were candidates had one, and took every revision; none recalled in turns.
    before: dict[str, Any] = {"candidates": 1, "keep_draft": False, "recall_share": None, "recall_turns": 0}
    before |= {
        "rows": None,
        "columns": None,
        "memory": "nearest",
        "memory_settings": {},
        "hears": "both",
        "weighted": False,
    }
    store.manifest["settings"] = {**before, **store.manifest["settings"]}
    # Nor did they have directions, weights and attributes to compare.
    if "network" in store.manifest and "network" in identity:
        store.manifest["network"] = {**identity["network"], **store.manifest["network"]}
    # Templates that did not exist then were not used.
    if "prompts" in store.manifest:
        store.manifest["prompts"] = {**identity["prompts"], **store.manifest["prompts"]}
    try:
        check_same_identity(path, store.manifest, identity, what="run")
    except RunExists:
        store.close()
        raise
    store.add_agents(
        ((a.index, a.name, a.label, *setup.space.position(a)) for a in members),
        (a.lm.uri for a in members),
        (dict(a.persona) for a in members),
    )
    if not setup.society.on_grid:
        store.add_network(setup.space.links)
    if not is_new:
        prices = {
            lm.uri: getattr(lm, "prices", None)
            for lm in (*setup.speakers, *setup.speaker_models.values(), setup.observer_lm)
        }
        spent = store.manifest.get("tokens", {}).get("usd", 0.0)  # a request made twice is paid twice but stored once
        store.manifest["tokens"] = store.call_counts(prices)
        if "usd" in store.manifest["tokens"]:
            store.manifest["tokens"]["usd"] = max(spent, store.manifest["tokens"]["usd"])
        store.manifest["measures"] = manifest["measures"]  # the scenario may have gained measures since
        for name in ("measure_axes", "rewards"):
            if name in manifest:
                store.manifest[name] = manifest[name]
    return store


def _identity(setup: SocietySetup) -> dict[str, Any]:
    """What defines a run: a resumed run must agree in all of it."""
    speaking = list({id(lm): lm for lm in setup.speakers}.values())
    agents: dict[str, Any] = {
        "uri": ",".join(lm.uri for lm in speaking),
        "fingerprint": ",".join(lm.fingerprint for lm in speaking),
    }
    if set(setup.models) != {""}:
        agents["dealt"] = {
            name: given if isinstance(given, float) else str(getattr(given, "uri", given))
            for name, given in setup.models.items()
        }
    found = {
        **scenario_identity(setup.scenario),
        "protocol": setup.protocol_name,
        "size": setup.size,
        "population": setup.population,
        "seed": setup.seed,
        "models": {
            "agents": agents,
            "observer": {"uri": setup.observer_lm.uri, "fingerprint": setup.observer_lm.fingerprint},
        },
        "raters": setup.rater_names,
        "embedder": setup.embedder.name,
        "settings": {**asdict(setup.society), "observer_rater": setup.observer_rater_name},
    }
    if setup.event is not None:
        found["event"] = setup.event.manifest_entry()
    if not isinstance(setup.society.embedder, str | None):
        found["settings"]["embedder"] = setup.embedder.name
    if not setup.society.on_grid:
        found["network"] = _network_identity(setup)
    return found


def _network_identity(setup: SocietySetup) -> dict[str, Any]:
    """What a network is: a file may have changed under its name."""
    given = setup.space.links
    links = sorted({tuple(sorted(link)) for link in given.edges()})
    found = {"nodes": len(given), "links": len(links), "hash": short_hash(str(links))}
    if setup.society.in_file:
        weights = (
            sorted(given.edges(data="weight"))
            if given.is_directed()
            else sorted((*sorted((a, b)), weight) for a, b, weight in given.edges(data="weight"))
        )
        nodes = [dict(sorted(of.items())) for _, of in sorted(given.nodes(data=True), key=lambda node: node[0])]
        found |= {
            "directed": given.is_directed(),
            "weights": short_hash(str(weights)) if any(w is not None for _, _, w in weights) else None,
            "attributes": sorted({name for of in nodes for name in of}),
            "nodes_hash": short_hash(json.dumps(nodes, default=str)),
        }
        if given.is_directed():
            found["directions"] = short_hash(str(sorted(given.edges())))
    return found
