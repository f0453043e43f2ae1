"""Previews of a run: its calls, tokens and cost, and its prompts."""
