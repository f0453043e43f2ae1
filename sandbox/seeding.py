"""Random generators keyed by their purpose, never by the order in which work is done.

Every draw of a run comes from ``keyed_rng(seed, round, agent, purpose)``, so that results do not depend on batch size,
concurrency or the order in which replies arrive.
"""

from __future__ import annotations

import hashlib
import random

# numpy and torch take no larger ones.
MAX_SEED = 2**32 - 1


def keyed_seed(*key: int | str) -> int:
    """Hash a key such as ``(seed, round, agent, purpose)`` to a seed in ``[0, 2**63)``."""
    digest = hashlib.blake2b("\x1f".join(map(str, key)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def keyed_rng(*key: int | str) -> random.Random:
    """Make the random generator of ``key``; equal keys give equal draws."""
    return random.Random(keyed_seed(*key))
