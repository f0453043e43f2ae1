"""The stub server in a process of its own; ``/v1/counts`` says how many requests have arrived, and how many are under way."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from stub_server import Answer, Asked, StubServer


class CountingServer(StubServer):
    """A stub server that counts requests and keeps none of them."""

    def __init__(self, delay_s: float) -> None:
        super().__init__(self._count, delay_s=delay_s)
        self.keep_asked = False
        self.requests = 0

    def _count(self, asked: Asked, _: int) -> Answer | None:
        if asked.path.endswith("/counts"):
            counts = {"requests": self.requests, "under_way": self.in_flight - 1}  # but for this one
            return Answer(body=json.dumps(counts).encode(), delay_s=0.0)
        self.requests += 1
        return None


async def _serve(delay_s: float) -> None:
    stub = CountingServer(delay_s)
    server = await stub.start()
    print(stub.url, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before every answer")
    asyncio.run(_serve(parser.parse_args().delay))
