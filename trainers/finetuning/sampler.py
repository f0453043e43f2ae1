"""The order in which training rows are drawn: seeded, with rows of similar length in one step.

Knows only the lengths of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from torch.utils.data import Sampler

from sandbox.seeding import keyed_rng


class LengthGrouped(Sampler[int]):
    """Draws rows so that those of a step have similar lengths, in an order keyed by the seed and the epoch.

    Rows are shuffled, divided into groups of at most fifty steps, and sorted by length within each; the steps of each group are
    shuffled again. The longest row comes first, so that out-of-memory errors occur at once.

    Args:
        lengths: Lengths of the rows, in tokens.
        a_step: Rows per step of the optimiser, over all devices.
        seed: Seed of the training.
        epoch: Returns the epoch that starts, from 0.
    """

    def __init__(self, lengths: Sequence[int], a_step: int, seed: int, epoch: Callable[[], int]) -> None:
        self._lengths, self._a_step, self._seed, self._epoch = list(lengths), a_step, seed, epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        draw = keyed_rng(self._seed, "rows", self._epoch())
        order = list(range(len(self._lengths)))
        draw.shuffle(order)
        steps: list[list[int]] = []
        # Small datasets are divided into four groups; otherwise all epochs would have the same steps.
        a_group = max(1, min(50, len(order) // (4 * self._a_step))) * self._a_step
        for start in range(0, len(order), a_group):
            rows = sorted(order[start : start + a_group], key=lambda row: -self._lengths[row])
            group = [rows[at : at + self._a_step] for at in range(0, len(rows), self._a_step)]
            # An incomplete step must stay last; otherwise later steps would be shifted.
            short = [group.pop()] if len(group[-1]) < self._a_step else []
            draw.shuffle(group)
            steps += [*group, *short]
        longest = max(range(len(steps)), key=lambda at: max(self._lengths[row] for row in steps[at]))
        if len(steps[longest]) == self._a_step:
            steps.insert(0, steps.pop(longest))
        return iter([row for step in steps for row in step])
