"""Societies as environments for reinforcement learning: one learner among agents that do not learn."""
