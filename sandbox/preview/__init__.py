"""What a run would do, before it is paid for: its cost and its prompts."""
