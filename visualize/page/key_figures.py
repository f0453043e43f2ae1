"""The key figures of a run: what stands on top of its report. Knows no page."""

from __future__ import annotations

import json

from sandbox.store.run import Run


def key_figures(
    run: Run, n: int, failed: int, *, has_reviews: bool = True, has_scores: bool = True
) -> list[tuple[str, str]]:
    """What the run is, and with what it was made: names and values.

    Args:
        run: The run.
        n: Number of its interactions.
        failed: How many of them failed.
        has_reviews: Whether neighbours rate answers; if not, their rater is left out.
        has_scores: Whether observers score answers; if not, the judge is left out.
    """
    about = run.manifest
    raters, tokens = about.get("raters", {}), about.get("tokens", {})
    given = {
        "scenario": about.get("scenario"),
        "agents": f"{len(run.agents()):,}",
        "rounds": f"{run.rounds:,}",
        "interactions": f"{n:,}" + (f" ({failed:,} failed)" if failed else ""),
        "model": _models(run),
        "rater of neighbours": raters.get("neighbours") if has_reviews else None,
        "judge (observer)": raters.get("observer") if has_scores else None,
        "seed": about.get("seed"),
        "protocol": about.get("protocol"),
        "calls": f"{tokens['calls']:,}" if tokens.get("calls") else None,
    }
    return [(name, str(value)) for name, value in given.items() if value is not None]


def _models(run: Run) -> str | None:
    """Models of the agents; of adapters that were trained on the run's own upbringing, their base and the labels."""
    whole = run.manifest.get("models", {}).get("agents", {}).get("uri")
    named, brought_up = [], {}
    for uri in whole.split(",") if whole else ():
        label = uri.rpartition("/")[2]
        trained = run.path / "upbringing" / label / "training.json"
        if uri.endswith(f"upbringing/{label}") and trained.is_file():
            base = str(json.loads(trained.read_text(encoding="utf-8"))["base"])
            brought_up.setdefault(base, []).append(label)
        else:
            named.append(uri)
    named += [f"{base}, with adapters of upbringing: {', '.join(sorted(of))}" for base, of in brought_up.items()]
    return ", ".join(named) or None
