"""Mesa's own schedule of steps, kept going after a step that raised."""

from __future__ import annotations

from typing import Any


def allow_another_step(world: Any) -> None:
    """Allow further steps of a world after one that raised.

    Since Mesa 3.5 a step is an event that schedules the next when it ends; without this, later steps silently do nothing.
    """
    world.steps = world.round
    schedule = getattr(world, "_default_schedule", None)
    if schedule is not None:
        schedule.pause()
        schedule.resume()
