"""Random streams keyed by what they are for, never by the order in which work is done.

Every draw of a run comes from ``stream(seed, round, agent, purpose)``; so results do not depend on batch
size, concurrency or the order in which replies arrive.
"""

from __future__ import annotations

import hashlib
import random


def keyed_seed(*key: int | str) -> int:
    """Hash a key such as ``(seed, round, agent, purpose)`` to a seed in ``[0, 2**63)``."""
    digest = hashlib.blake2b("\x1f".join(map(str, key)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def keyed_rng(*key: int | str) -> random.Random:
    """A generator of random numbers that belongs to ``key`` alone."""
    return random.Random(keyed_seed(*key))
