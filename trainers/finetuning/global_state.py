"""Global state that a training changes and restores: random generators, threads, and output of libraries."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.models.local.quiet import quiet
from trainers.settings import TrainingSettings


@contextmanager
def seeded_globals(settings: TrainingSettings) -> Iterator[None]:
    """Seed the global random generators and set the threads; restore both afterwards."""
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
def quiet_libraries() -> Iterator[None]:
    """Suppress progress bars and messages of datasets, transformers and TRL, and telemetry of TRL."""
    import datasets
    from huggingface_hub import constants

    # The variable set by quiet() is read when the hub client is imported, which may be earlier.
    bars, pings_off = datasets.is_progress_bar_enabled(), constants.HF_HUB_DISABLE_TELEMETRY
    # Some of TRL's bars are controlled only by this variable; orpo warns that it is experimental.
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
