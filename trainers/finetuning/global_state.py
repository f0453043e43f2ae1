"""What a training uses and leaves as it found it: random numbers, threads, bars and remarks of libraries."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.models.local.quiet import quiet
from trainers.settings import TrainingSettings


@contextmanager
def own_randomness(settings: TrainingSettings) -> Iterator[None]:
    """Seed what libraries draw from, use the threads asked for, and leave both as they were."""
    import numpy as np
    import torch
    from transformers import set_seed

    threads = torch.get_num_threads()
    python, array = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        set_seed(settings.seed)
        torch.set_num_threads(settings.threads or threads)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(array)
            torch.set_num_threads(threads)


@contextmanager
def silence() -> Iterator[None]:
    """Keep the bars and remarks of datasets, transformers and TRL from the screen, and TRL from pinging home."""
    import datasets
    from huggingface_hub import constants

    # The variable that quiet() sets is read when the hub's client is imported, which may have been long ago.
    bars, pings_off = datasets.is_progress_bar_enabled(), constants.HF_HUB_DISABLE_TELEMETRY
    # Some of TRL's bars ask nobody but this variable; orpo is announced as experimental every time.
    said = {name: os.environ.get(name) for name in ("TQDM_DISABLE", "TRL_EXPERIMENTAL_SILENCE")}
    os.environ.update(dict.fromkeys(said, "1"))
    datasets.disable_progress_bars()
    constants.HF_HUB_DISABLE_TELEMETRY = True
    try:
        with quiet():
            yield
    finally:
        constants.HF_HUB_DISABLE_TELEMETRY = pings_off
        for name, value in said.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        if bars:
            datasets.enable_progress_bars()
