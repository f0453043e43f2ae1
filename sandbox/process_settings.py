"""Settings of the whole process: how threads of torch wait, and how often the garbage collector looks through all objects.

Nothing is set where the environment or the program has set it otherwise.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

# A round makes many objects that live as long as a conversation. With Python's 700 the collector counts them as old, and looks
# through all that a large society holds again and again.
_OBJECTS = 10_000


def let_threads_sleep() -> None:
    """Have the threads of OpenMP sleep while they wait, unless ``OMP_WAIT_POLICY`` or its like is set.

    By default they spin. Where the processes of a machine want more cores than it has, a spinning thread holds a core that the
    one it waits for needs, and all become many times slower. Results do not depend on it. It must be called before torch is
    imported.
    """
    if not {"GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & set(os.environ):
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@contextmanager
def fewer_collections() -> Iterator[None]:
    """Run the garbage collector once in 10,000 new objects at most; restores what was set before."""
    before = gc.get_threshold()
    if 0 < before[0] < _OBJECTS:  # 0 turns it off
        gc.set_threshold(_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
