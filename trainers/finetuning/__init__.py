"""What the built-in trainers share: policy, monitoring, checkpoints, the model folder."""
