"""A language model that needs no weights: it repeats what it was asked about."""

import zlib

from sandbox import Reply


class Speaker:
    """Says that it is for or against what it was asked; the URI's rest is a party's name."""

    def __init__(self, rest: str = "") -> None:
        self.party = rest or "independent"
        self.uri = f"speaker:{rest}"
        self.fingerprint = f"speaker-1-{self.party}"
        self.default_rater = "politeness"

    def generate(self, requests):
        """Answer every request, in order."""
        return [self._reply(request) for request in requests]

    def _reply(self, request):
        # Only what the request says decides, and at temperature 0 its seed does not.
        seed = request.seed if request.temperature > 0 else 0
        number = zlib.crc32(f"{self.party}{request.messages}{request.prefix}{seed}".encode())
        if request.choices:
            return Reply(request.choices[number % len(request.choices)])
        words = f"As an {self.party} I am {('for', 'against')[number % 2]} it and thank you for asking".split()
        text = " ".join(words[: request.max_tokens])
        for stop in request.stop:
            text = text.partition(stop)[0]
        reason = "length" if len(words) > request.max_tokens else "stop"
        return Reply(
            text.strip(), None, sum(len(m.content.split()) for m in request.messages), len(text.split()), reason
        )
