"""Selection of groups of candidates: contrasts and good answers, in the paper's mix of parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from sandbox.errors import nearest
from sandbox.seeding import keyed_seed
from sandbox.typed_settings import SEEDS, at_least, between, refuse, setting_faults
from trainers.rows.candidates import PARTS, Candidate, Group, LeftOut

MIX = (5.0, 1.0, 1.0)
# Answers to a prompt of a record, as in the paper.
CANDIDATES = 3
# Of all answers rated by a reward, those that demonstrations are made of.
BEST_SHARE = 0.25


@dataclass(frozen=True)
class Selection:
    """Settings of every kind of rows made from a record.

    Attributes:
        parts: Of the paper's data: ``imitation``, ``self_critic``, ``realignment``.
        mix: Shares of all three parts, or of ``parts``, by number of groups. The part with the largest share
            of which there is anything is kept whole; another is cut to its share of that, though not below
            one group, and is kept whole where it is short. 0 leaves a part out.
        max_candidates: Answers to a prompt at most: the best, the worst, and others spread evenly between
            them. By default 3 of a record, as in the paper, and all of those that a file has.
        seed: Chooses which groups are cut.
        min_gap: The least difference between the best and another rating for them to be contrasted.
        min_raters: The least number of neighbours who must have rated a conversation's draft for anything of it to be
            used; 0 asks for none.
        models: Language models whose agents' conversations are used, by URI or by kind, as ``hf``; empty for all.
        dimension: Dimension of the rubric on which answers are rated; by default the first.
        reward: Reward of the scenario in place of ratings; parts, mix and min_gap do not apply then.
        gap: As min_gap, in the unit of the reward.
        best_share: Share of all answers, the best by the reward, that demonstrations are made of; 0.25 by default. With ties at
            its end it is exceeded.

    Raises:
        SettingsError: names everything that cannot be used.
    """

    parts: tuple[str, ...] = PARTS
    mix: tuple[float, ...] = MIX
    max_candidates: Annotated[int | None, at_least(2)] = None
    seed: Annotated[int, SEEDS] = 0
    min_gap: Annotated[float, at_least(0)] = 0.0
    min_raters: Annotated[int, at_least(0)] = 0
    models: tuple[str, ...] = ()
    dimension: str | None = None
    reward: str | None = None
    gap: Annotated[float | None, at_least(0)] = None
    best_share: Annotated[float | None, between(0, 1, "(]")] = None

    def __post_init__(self) -> None:
        faults = [f"no part of the data is named {p!r}.{nearest(p, PARTS)}" for p in self.parts if p not in PARTS]
        if not self.parts:
            faults.append(f"parts is empty; name some of {', '.join(PARTS)}")
        if len(self.mix) not in (len(PARTS), len(self.parts)):
            faults.append(f"mix={self.mix!r} has {len(self.mix)} shares for {len(self.parts)} parts")
        elif any(share < 0 for share in self.mix) or not any(self.shares.values()):
            faults.append(f"mix={self.mix!r} needs shares of 0 or more, one of them above 0")
        refuse("rows cannot be made", [*faults, *self._reward_faults(), *setting_faults(self)])

    def _reward_faults(self) -> list[str]:
        if self.reward is None:
            given = [name for name in ("gap", "best_share") if getattr(self, name) is not None]
            hint = {"gap": "; use min_gap for ratings", "best_share": "; of ratings, trainer rft takes the best share"}
            return [f"{name} needs a reward, for example reward=payoff{hint[name]}" for name in given]
        others = {"parts": PARTS, "mix": MIX, "min_gap": 0.0, "dimension": None}
        given = [name for name, default in others.items() if getattr(self, name) != default]
        hint = {"min_gap": "; use gap"}
        return [f"{name} is of ratings, and reward={self.reward!r} is given{hint.get(name, '')}" for name in given]

    @property
    def shares(self) -> dict[str, float]:
        """The share of each part that is asked for, in the order of ``parts``."""
        names = self.parts if len(self.mix) == len(self.parts) else PARTS
        named = dict(zip(names, self.mix, strict=True))
        return {part: named[part] for part in self.parts if part in named}


def select(
    groups: Sequence[Group], selection: Selection, left_out: LeftOut, *, from_files: Sequence[Group] = ()
) -> list[Group]:
    """Settle what can be learnt of each group, and mix the parts.

    Args:
        groups: As :func:`trainers.rows.candidates.collect` makes them.
        selection: The settings.
        left_out: Counts what is not kept.
        from_files: Groups that somebody put together; all of their candidates are kept by default.

    Returns:
        Groups whose candidates stand best first: two or more with a contrast, or a single good one.
    """
    shares = {part: share for part, share in selection.shares.items() if share > 0}
    # Parts that are none of the paper's come from somebody's own file: the mix has no say in them.
    limits: list[tuple[Group, int | None]] = [(group, selection.max_candidates or CANDIDATES) for group in groups]
    limits += [(group, selection.max_candidates) for group in from_files]
    wanted = [(group, limit) for group, limit in limits if group.part in shares or group.part not in PARTS]
    settled = [s for group, limit in wanted if (s := _settle(group, selection.min_gap, limit, left_out)) is not None]
    own = [group for group in settled if group.part not in PARTS]
    return [*_mix(settled, shares, selection.seed, left_out), *own]


def _settle(group: Group, min_gap: float, limit: int | None, left_out: LeftOut) -> Group | None:
    """What can be learnt of a group: a contrast, or else one answer rated above the middle; or nothing."""
    ranked = sorted(group.candidates, key=lambda c: -c.rating)
    gap = ranked[0].rating - ranked[-1].rating
    if gap > 0 and gap >= min_gap:
        kept = _spread(ranked, limit or len(ranked))
        left_out["candidates beyond max_candidates"] += len(ranked) - len(kept)
        return replace(group, candidates=tuple(kept))
    if ranked[0].rating > group.middle:
        left_out["candidates rated alike"] += len(ranked) - 1
        return replace(group, candidates=(ranked[0],))
    left_out["groups without a contrast or a good answer"] += 1
    return None


def _spread(ranked: Sequence[Candidate], n: int) -> list[Candidate]:
    """The best, the worst, and between them whatever is rated nearest to evenly spaced."""
    if len(ranked) <= n:
        return list(ranked)
    best, *between, worst = ranked
    kept = []
    for step in range(1, n - 1):
        target = best.rating - (best.rating - worst.rating) * step / (n - 1)
        closest = min(between, key=lambda c: abs(c.rating - target))
        between.remove(closest)
        kept.append(closest)
    return [best, *sorted(kept, key=lambda c: -c.rating), worst]


def _mix(groups: Sequence[Group], shares: Mapping[str, float], seed: int, left_out: LeftOut) -> list[Group]:
    """Cut the parts to their shares; what stays depends on the seed and the prompts, not on their order."""
    parts = {part: [g for g in groups if g.part == part] for part in shares}
    present = [part for part in shares if parts[part]]
    if not present:
        return []
    whole = max(present, key=lambda part: shares[part])
    kept: list[Group] = []
    for part in present:
        limit = len(parts[part])
        if part != whole:
            limit = min(limit, max(1, round(len(parts[whole]) * shares[part] / shares[whole])))
        by_draw = sorted(parts[part], key=lambda g: keyed_seed(seed, "mix", part, g.prompt[-1][1]))
        chosen = {id(group) for group in by_draw[:limit]}
        kept += [group for group in parts[part] if id(group) in chosen]
        left_out[f"{part} groups beyond the mix"] += len(parts[part]) - limit
    return kept
