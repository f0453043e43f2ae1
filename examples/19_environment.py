"""A society as an environment: one player learns by policy gradient to cooperate with players that retaliate.

The prisoner's dilemma of ``scenarios/prisoners.py``. The others defect once a neighbour has defected. The learner is a single
number, the log-odds of cooperating, so that it takes seconds: python examples/19_environment.py. A language model is given in
its place, ``env.rollout(load_model("smollm2"), episodes=8)``, and earlier selves in place of the others: ``league=[...]``.
"""

import math

from sandbox import Reply, ScriptedModel, SocietyEnv

EPISODES, RATE = 8, 0.3


def retaliate(request):
    """Cooperate until a neighbour is reported to have defected."""
    return "defect" if ": defect" in request.messages[-1].content else "cooperate"


def make_policy(log_odds):
    """A policy that cooperates with a probability; the protocol draws from what the reply gives for each choice."""
    share = 1 / (1 + math.exp(-log_odds))
    return lambda observed: Reply("cooperate", {"cooperate": share, "defect": 1 - share})


def update(log_odds, episodes):
    """One step of REINFORCE: each episode's return against the mean of its group."""
    share = 1 / (1 + math.exp(-log_odds))
    mean = sum(episode.total for episode in episodes) / len(episodes)
    gradient = sum(
        (episode.total - mean) * ((turn.action == "cooperate") - share)
        for episode in episodes
        for turn in episode.turns
    )
    return log_odds + RATE * gradient / len(episodes)


def main(steps: int = 6) -> list[float]:
    """Learn, and print what each group of episodes earned."""
    others = ScriptedModel(replies=retaliate)
    settings = {"agents": 5, "embedder": "hashing", "observer": "scripted:"}
    log_odds, means = 0.0, []
    with SocietyEnv("prisoners", learner=0, others=others, reward="payoff", rounds=5, **settings) as env:
        for step in range(steps):
            episodes = env.rollout(make_policy(log_odds), EPISODES, seed=step * EPISODES)
            means.append(sum(episode.total for episode in episodes) / EPISODES)
            share = 1 / (1 + math.exp(-log_odds))
            print(f"step {step}: cooperates with probability {share:.2f}, earns {means[-1]:.1f} in 5 rounds")
            log_odds = update(log_odds, episodes)
    return means


if __name__ == "__main__":
    main()
