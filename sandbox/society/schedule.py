"""What Mesa keeps of a model: its schedule of steps, kept going after a step that raised, and the model itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def another_step_allowed(world: Any) -> Iterator[None]:
    """Allow further steps of a world if the block, which is one, raises.

    Since Mesa 3.5 a step is an event that schedules the next when it ends; without this, later steps silently do nothing.
    """
    try:
        yield
    except BaseException:
        world.steps = world.round
        schedule = getattr(world, "_default_schedule", None)
        if schedule is not None:
            schedule.pause()
            schedule.resume()
        raise


def release(world: Any) -> None:
    """Let go of a world that is closed: Mesa 3.3 and 3.4 keep every model, with all its agents, in their class of agents."""
    from mesa import Agent

    getattr(Agent, "_ids", {}).pop(world, None)
