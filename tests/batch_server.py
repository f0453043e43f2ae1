"""A stand-in of OpenAI's batch API: files, batches and answers in its schema, in memory; for tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answerer = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]


def answered(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """A completion that repeats the end of the last message."""
    text = "Rating: 5 ### Reason: " + body["messages"][-1]["content"][-20:]
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    return 200, {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": usage}


class StandInBatchServer(ThreadingHTTPServer):
    """Keeps files and batches in memory. A batch is at work for ``polls`` questions, and then ends as ``status``.

    Questions for its state are answered with the HTTP status ``asked_after``, if that is not 200.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), BatchHandler)
        self.answer: Answerer = answered
        self.status, self.polls, self.busy, self.asked_after = "completed", 1, 0, 200
        self.files: dict[str, bytes] = {}
        self.batches: list[dict[str, Any]] = []
        self.keys: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class BatchHandler(BaseHTTPRequestHandler):
    server: StandInBatchServer

    def log_message(self, *_: Any) -> None:
        pass

    def _send(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("transfer-encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        return body

    def refuse(self, body: bytes, status: int) -> None:
        """Answer a request once it is read: a connection closed before that is another fault."""
        self._body()
        self._send(body, status)

    def do_POST(self) -> None:
        body = self._body()
        self.server.keys.add(self.headers["authorization"])
        if self.server.busy:
            self.server.busy -= 1
            return self._send(b'{"error": {"message": "busy"}}', 503)
        if self.path == "/v1/files":
            lines = [line for line in body.splitlines() if line.startswith(b'{"custom_id"')]
            name = f"file-{len(self.server.files)}"
            self.server.files[name] = b"\n".join(lines)
            return self._send(json.dumps({"id": name}).encode())
        asked = json.loads(body)
        assert (asked["endpoint"], asked["completion_window"]) == ("/v1/chat/completions", "24h")
        batch = {"id": f"batch-{len(self.server.batches)}", "file": asked["input_file_id"], "left": self.server.polls}
        self.server.batches.append(batch)
        self._send(json.dumps({"id": batch["id"]}).encode())

    def do_GET(self) -> None:
        kind, name = self.path.split("/")[2:4]
        if kind == "files":
            return self._send(self.server.files[name])
        if self.server.asked_after != 200:
            return self._send(b'{"error": {"message": "not now"}}', self.server.asked_after)
        batch = next(one for one in self.server.batches if one["id"] == name)
        batch["left"] -= 1
        if batch["left"] >= 0:
            return self._send(b'{"status": "in_progress"}')
        if self.server.status != "completed":
            fault = {"status": self.server.status, "errors": {"data": [{"message": "no such model"}]}}
            return self._send(json.dumps(fault).encode())
        lines = [json.loads(line) for line in self.server.files[batch["file"]].splitlines()]
        found = []
        for line in reversed(lines):  # in no order
            status, said = self.server.answer(line["body"])
            found.append(
                {"custom_id": line["custom_id"], "response": {"status_code": status, "body": said}, "error": None}
            )
        self.server.files[f"out-{name}"] = "\n".join(map(json.dumps, found)).encode()
        self._send(json.dumps({"status": "completed", "output_file_id": f"out-{name}", "error_file_id": None}).encode())
