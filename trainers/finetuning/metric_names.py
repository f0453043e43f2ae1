"""Names of the metrics of a training: in ``training.json``, on the progress bar and in plots.

All trainers use the same names. A metric that a trainer cannot compute is absent:

======================= ================================================================================================
``loss``                What is minimised, in the trainer's own unit.
``reward_margin``       Reward of the better answer minus that of the worse one. In nats per token for trainers on ranked
                        rows; beta times the log-ratio (the implicit reward) for dpo, kto and orpo.
``preference_accuracy`` Share of pairs whose better answer has the higher reward, in 0..1.
``kl``                  KL divergence of the model from its base on trained answers, in nats per token.
``heldout_accuracy``    Share of held-out pairs whose better answer is likelier per token, in 0..1.
``heldout_margin``      Mean difference of their log-likelihoods, in nats per token.
``answer_tokens``       Mean length of the trained answers, in tokens, including the end token.
``tokens_per_s``        Tokens read per second of wall time, including prompts.
======================= ================================================================================================

The history also has ``step``, ``epoch``, ``learning_rate``, ``grad_norm`` and whatever else a trainer logs.

Trackers (``report_to=tensorboard``) receive what the trainer itself logs, with the prefix ``train/``: for dpo, kto, orpo and
grpo under TRL's names, the keys of ``TRL_NAMES``; without ``kl``, ``tokens_per_s`` and the metrics of held-out pairs.
"""

from __future__ import annotations

# Names that TRL logs -> names in the history.
TRL_NAMES = {
    "rewards/margins": "reward_margin",
    "rewards/accuracies": "preference_accuracy",
    "mean_token_accuracy": "token_accuracy",
    "completions/mean_length": "answer_tokens",
}

# Metrics shown beside the progress bar.
SHOWN = ("loss", "reward_margin", "preference_accuracy", "heldout_accuracy")
