"""The trainers of TRL by name: where each is, what rows it learns from, and why some cannot be used here.

Imports neither torch nor TRL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal, TypeAlias

from sandbox.errors import SettingsError, UnknownPlugin, nearest
from trainers.rows.kinds import RowKind

# TRL's experimental trainers may change with any version, and so may the methods by which token ids are passed to it.
WORKS_WITH = "1.16"

Layout: TypeAlias = Literal[
    "pairs", "whole_pairs", "sequences", "triples", "unpaired", "demonstrations", "rated", "taught"
]

_KINDS: dict[Layout, RowKind] = {
    "pairs": RowKind.PREFERENCES,
    "whole_pairs": RowKind.PREFERENCES,
    "sequences": RowKind.PREFERENCES,
    "triples": RowKind.RANKED,
    "unpaired": RowKind.UNPAIRED,
    "demonstrations": RowKind.DEMONSTRATIONS,
    "rated": RowKind.PROMPTS,
    "taught": RowKind.PROMPTS,
}


@dataclass(frozen=True)
class TRLTrainerSpec:
    """A trainer of TRL that can be used.

    Attributes:
        name: Its class without the word Trainer, for example ``CPO``.
        module: Module of its class and of that of its arguments.
        layout: Columns that it learns from, see :mod:`trainers.methods.trl_rows`; ``rated`` for prompts whose answers a
            rater rates, ``taught`` for prompts whose answers a teacher corrects.
    """

    name: str
    module: str
    layout: Layout

    @property
    def accepts(self) -> RowKind:
        """The kind of rows it learns from."""
        return _KINDS[self.layout]


_EXPERIMENTAL = "trl.experimental"
_SPECS = (
    TRLTrainerSpec("CPO", f"{_EXPERIMENTAL}.cpo", "whole_pairs"),
    TRLTrainerSpec("DPO", "trl", "pairs"),
    TRLTrainerSpec("Distillation", "trl", "taught"),
    TRLTrainerSpec("GMPO", f"{_EXPERIMENTAL}.gmpo", "rated"),
    TRLTrainerSpec("GRPO", "trl", "rated"),
    TRLTrainerSpec("KTO", "trl", "unpaired"),
    TRLTrainerSpec("ORPO", f"{_EXPERIMENTAL}.orpo", "whole_pairs"),
    TRLTrainerSpec("OnlineDPO", f"{_EXPERIMENTAL}.online_dpo", "rated"),
    TRLTrainerSpec("RLOO", "trl", "rated"),
    TRLTrainerSpec("Reward", "trl", "sequences"),
    TRLTrainerSpec("SFT", "trl", "demonstrations"),
    TRLTrainerSpec("TPO", f"{_EXPERIMENTAL}.tpo", "triples"),
)
SPECS = {spec.name: spec for spec in _SPECS}

_SERVER = "it needs a vLLM server that draws answers while the model learns"
_FEEDBACK = "it needs prompts with privileged information for its own teacher, which a record does not hold"
_TEACHER = (
    "it reads conversations by the chat template of a teacher; use trl:Distillation, which takes --set teacher=URI"
)
REFUSED = {
    "A2PO": "its rewards must be 0 or 1, and raters give a scale; use trl:GRPO or policy_gradient",
    "AsyncDistillation": _SERVER,
    "AsyncGRPO": f"{_SERVER}; use trl:GRPO",
    "GKD": _TEACHER,
    "GOLD": _TEACHER,
    "IWOPD": _TEACHER,
    "SDFT": _FEEDBACK,
    "SDPO": _FEEDBACK,
    "ServerDistillation": f"{_SERVER}, for the teacher; use trl:Distillation",
}


def find_spec(name: str) -> TRLTrainerSpec:
    """Find a trainer of TRL by its name.

    Args:
        name: Its class, with or without the word Trainer, for example ``CPO``, ``online_dpo`` or ``RewardTrainer``.

    Raises:
        UnknownPlugin: TRL has no trainer of that name.
        SettingsError: it cannot be used here; the message says why.
    """
    known = {_plain(one): one for one in (*SPECS, *REFUSED)}
    found = known.get(_plain(name))
    if found is None:
        guess = nearest(_plain(name), list(known))
        meant = next((f" Did you mean 'trl:{known[key]}'?" for key in known if repr(key) in guess), "")
        words = (
            f"TRL has no trainer named {name!r}.{meant}" if name else "trl: needs the name of a trainer, as in trl:CPO."
        )
        raise UnknownPlugin(f"{words} Trainers of TRL: {', '.join(SPECS)}")
    if found in REFUSED:
        raise SettingsError(f"trainer 'trl:{found}' cannot be used here: {REFUSED[found]}")
    return SPECS[found]


def check_version(name: str) -> None:
    """Refuse versions of TRL whose trainers may take other arguments.

    Raises:
        SettingsError: another version is installed.
    """
    try:
        installed = version("trl")
    except PackageNotFoundError:
        return  # the missing package is reported with all others that a training needs
    if installed.rpartition(".")[0] != WORKS_WITH:
        raise SettingsError(
            f"trainer 'trl:{name}' uses the trainers of TRL as they are in version {WORKS_WITH}.x; found trl {installed}. "
            f"Install it: pip install 'trl=={WORKS_WITH}.*'"
        )


def _plain(name: str) -> str:
    """A name in lower case, without separators and the word trainer."""
    return re.sub(r"[\W_]", "", name.lower()).removesuffix("trainer")
