"""Whether a model became better: held-out answers, judges, paired tests, benchmarks."""
