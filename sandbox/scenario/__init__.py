"""What a run is told: questions, upbringing, rubric, prompts, personas and population. No models, no files of a run."""
