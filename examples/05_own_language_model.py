"""Your own language model: any class that turns a list of requests into a list of replies, in the same order.

    python examples/05_own_language_model.py

For the command line, make it a package: sandbox new model NAME; then use --model NAME:REST.
"""

import hashlib

from sandbox import Reply, World
from sandbox.testing import check_model


class Proverbs:
    """Answers everything with a proverb; how well it likes an answer depends on the answer's length."""

    default_rater = "lm"
    default_embedder = "hashing"
    sayings = ("Slow and steady wins the race.", "Many hands make light work.", "Look before you leap.")

    def __init__(self, rest=""):
        self.uri = f"proverbs:{rest}"  # names the model in manifests
        self.fingerprint = hashlib.blake2b("".join(self.sayings).encode(), digest_size=8).hexdigest()

    def generate(self, requests):
        """Answer every request, in order."""
        return [self.reply(request) for request in requests]

    def reply(self, request):
        """Answer one."""
        key = int(request.key(), 16)  # the same request, seed included, must give the same reply
        if request.choices:  # a rating: one of these, and how likely each is
            liked = (len(request.messages[-1].content) + key % 3) % len(request.choices)
            probs = {c: 0.1 for c in request.choices} | {request.choices[liked]: 1.0}
            return Reply(request.choices[liked], {c: p / sum(probs.values()) for c, p in probs.items()})
        words = self.sayings[key % len(self.sayings)].split()
        cut = len(words) > request.max_tokens
        return Reply(" ".join(words[: request.max_tokens]), finish_reason="length" if cut else "stop")


def main():
    check_model(Proverbs(), stops=False)  # it does not cut replies at stop strings
    print("Proverbs does what language models promise")
    run = World("value_alignment", model=Proverbs(), size=3).run(rounds=1)
    for it in run.interactions()[:3]:
        print(f"Agent {it.agent + 1}: {it.draft} {it.revision}")


if __name__ == "__main__":
    main()
