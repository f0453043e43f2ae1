"""Group relative policy optimisation in a society: the model in training plays episodes, which the scenario rewards."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from sandbox.environment.environment import SocietyEnv
from sandbox.errors import SettingsError
from sandbox.seeding import keyed_seed
from sandbox.typed_settings import at_least
from trainers.finetuning.base import FineTuning
from trainers.rows.kinds import RowKind
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.finetuning.policy import Policy
    from trainers.likelihood.tokenization import Encoder


@dataclass(frozen=True, kw_only=True)
class SocietyGRPOSettings(TrainingSettings):
    """Settings of group relative policy optimisation in a society, in addition to those of all trainers.

    Attributes:
        scenario: Scenario with a reward.
        learner: Who learns: the number of an agent, from 0, or a label; None for all agents.
        others: Language model of the other agents.
        league: Models of which each episode draws one for the other agents, in place of ``others``.
        reward: Name of the scenario's reward; by default its first.
        rounds: Length of an episode.
        failed_reward: Reward of a round in which the agent's conversation failed; None for none, so that nothing is learnt
            from it.
        episodes: Number of societies, with the seeds from ``first_seed`` on; ``batch_size`` counts them.
        first_seed: Seed of the first.
        group: Number of episodes that are played in each society, and compared.
        credit: What is compared. ``episode``: the return, of all agents of the learner. ``round``: of each agent and round, the
            credit: its reward, with discounted later ones.
        scale: Whether advantages are divided by their standard deviation.
        turns: Number of turns whose gradients are computed at a time; bounds memory. A choice among options of several tokens
            counts as many as there are options.
        society: Further settings of the society: ``--set society.size=3``.
    """

    scenario: str = "prisoners"
    learner: str | None = None
    others: str | None = None
    league: tuple[str, ...] = ()
    reward: str | None = None
    rounds: Annotated[int, at_least(1)] = 1
    failed_reward: float | None = None
    episodes: Annotated[int, at_least(1)] = 16
    first_seed: Annotated[int, at_least(0)] = 0
    group: Annotated[int, at_least(2)] = 4
    credit: Literal["episode", "round"] = "episode"
    scale: bool = True
    turns: Annotated[int, at_least(1)] = 8
    society: Mapping[str, Any] = field(default_factory=dict)

    def faults(self) -> list[str]:
        """List invalid settings; a scenario must be named, so that the training can be repeated."""
        named = isinstance(self.scenario, str)
        fault = "scenario is an object, which training.json cannot name; give a name, a path or module:object"
        return [*super().faults(), *([] if named else [fault])]


class SocietyGRPO(FineTuning):
    r"""Group relative policy optimisation on the rewards of a scenario (arXiv:2402.03300), in a society of other models.

    Online: in each step the model plays a group of episodes in each of ``batch_size`` societies, and what it said in those
    with a higher return than the mean of their group becomes likelier. One gradient step is made on each group, so that
    probability ratios are 1 and are not clipped; there is no KL penalty. The rows only count: each stands for a society, with
    ``first_seed`` plus the number of the row as its seed.

    Loss:
        $$-\frac{1}{K} \sum_{k=1}^{K} A_{e(k)} \log \pi(y_k \mid x_k),
        \qquad A_e = \frac{R_e - \mathrm{mean}(R)}{\mathrm{std}(R)}$$

        $K$: turns of the learner in a group of episodes; $R_e$: return of episode $e$; $\pi(y \mid x)$: of a choice, its
        probability among the choices. With ``credit=round`` the credits of the same agent and round are compared.

    Logs:
        reward: Mean return of the episodes.

    Suits:
        Scenarios whose outcome pays agents, where what is best depends on the others.

    Fails:
        Groups of episodes with equal returns teach nothing: use more episodes (``group``), or a scenario in which the learner's
        part matters. Without a KL penalty long trainings drift away from the base. Each step plays whole societies.
    """

    name: ClassVar[str] = "society_grpo"
    accepts: ClassVar[RowKind] = RowKind.PROMPTS
    Settings: ClassVar[type[TrainingSettings]] = SocietyGRPOSettings
    settings: SocietyGRPOSettings

    def make_env(self) -> SocietyEnv:
        """Make the environment of the settings.

        Raises:
            ScenarioError: the scenario has no reward.
            SettingsError: a setting is invalid.
        """
        s = self.settings
        learner = int(s.learner) if s.learner is not None and s.learner.isdecimal() else s.learner
        return SocietyEnv(
            s.scenario, learner=learner, others=s.others, league=s.league, reward=s.reward, rounds=s.rounds,
            failed_reward=s.failed_reward, **{name: _value(given) for name, given in s.society.items()},
        )  # fmt: skip

    def make_rows(self) -> Dataset:
        """Make the rows: of each society, the first prompt of the learner."""
        from trainers.rows.format import make_rows

        s, found = self.settings, []
        with self.make_env() as env:
            for seed in range(s.first_seed, s.first_seed + s.episodes):
                observed = env.reset(seed)
                prompt = observed[0].messages if observed else [{"role": "user", "content": "(nobody is asked)"}]
                found.append({"prompt": prompt, "part": "episodes", "question": f"episode {seed}"})
        return make_rows(self.accepts, found)

    def encode(self, rows: Dataset, encoder: Encoder) -> Dataset:
        """Seeds of the societies: the numbers of the rows."""
        from datasets import Dataset

        self._encoder = encoder
        first = self.settings.first_seed
        return Dataset.from_list([{"seed": first + number, "length": 1} for number in range(len(rows))])

    def make_trainer(self, policy: Policy, encoded: Dataset, arguments: dict[str, Any], watch: Any) -> Any:
        """Make a trainer whose step plays episodes.

        Raises:
            SettingsError: several processes are asked for.
        """
        from transformers import TrainingArguments

        from trainers.finetuning.episode_trainer import EpisodeTrainer
        from trainers.finetuning.rollouts import Rollouts

        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise SettingsError("trainer 'society_grpo' plays episodes in one process; start it without torchrun")
        s = self.settings
        env, encoder = self.make_env(), self._encoder

        def seeds_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
            return {"seeds": [int(row["seed"]) for row in rows]}

        def draw_seed(step: int, part: int) -> int:
            return keyed_seed(s.seed, "rollouts", step, part)

        return EpisodeTrainer(
            model=policy.model,
            args=TrainingArguments(**arguments),
            train_dataset=encoded,
            data_collator=seeds_of,
            processing_class=policy.tokenizer,
            callbacks=[watch],
            rollouts=lambda model: Rollouts(model, encoder, env),
            draw_seed=draw_seed,
            group=s.group,
            credit=s.credit,
            scale=s.scale,
            turns=s.turns,
        )


def _value(given: Any) -> Any:
    """A setting of the society that may be given as text."""
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given)
    except ValueError:
        return given
