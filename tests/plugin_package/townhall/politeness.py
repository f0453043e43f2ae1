"""A rater that counts thanks."""

from sandbox import Rating


class Politeness:
    """Rates an answer by whether it thanks anybody."""

    name = "politeness"

    def __init__(self, rest: str = "", *, embedder=None) -> None:
        del rest, embedder

    def rate(self, items, *, rater_of):
        """Rate (question, answer) pairs, in order."""
        return [Rating(float(rater_of.scale if "thank" in answer.lower() else 2)) for _, answer in items]
