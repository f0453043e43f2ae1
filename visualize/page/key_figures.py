"""The key figures of a run: what stands on top of its report. Knows no page."""

from __future__ import annotations

from sandbox.store.run import Run


def key_figures(run: Run, n: int, failed: int) -> list[tuple[str, str]]:
    """What the run is, and with what it was made: names and values."""
    about = run.manifest
    raters, tokens = about.get("raters", {}), about.get("tokens", {})
    given = {
        "scenario": about.get("scenario"),
        "agents": f"{len(run.agents()):,}",
        "rounds": f"{run.rounds:,}",
        "interactions": f"{n:,}" + (f" ({failed:,} failed)" if failed else ""),
        "model": about.get("models", {}).get("agents", {}).get("uri"),
        "rater of neighbours": raters.get("neighbours"),
        "judge (observers)": raters.get("observers"),
        "seed": about.get("seed"),
        "protocol": about.get("protocol"),
        "calls": f"{tokens['calls']:,}" if tokens.get("calls") else None,
    }
    return [(name, str(value)) for name, value in given.items() if value is not None]
