"""A stand-in of the model hub: an HTTP server with the requests of ``huggingface_hub`` that create and fill a repository.

It keeps what it receives by repository and branch, and gives it back as the hub does, so that models and datasets load from
it. It is no copy of the hub: there are no rights but those of ``TOKEN``, no history, and large files use the basic transfer
of Git LFS (clients must set ``HF_HUB_DISABLE_XET``).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

import yaml

TOKEN = "hf_stand_in_token"
OWNER = "ada"
_REPO = r"(?P<repo>[^/]+/[^/]+)"


@dataclass
class Repository:
    """What was received.

    Attributes:
        private: Whether it is private.
        branches: Files by branch and path.
        commits: Branch, summary and paths of each commit.
    """

    private: bool = False
    branches: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"main": {}})
    commits: list[tuple[str, str, list[str]]] = field(default_factory=list)


class HubServer:
    """The stand-in, in a thread of its own: ``with HubServer() as hub: ... hub.url``.

    Attributes:
        repos: By kind (``model``, ``dataset``) and name.
        asked: Method and path of each request.
        faults: By the end of a path, statuses that are answered in order before the request is served.
    """

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.faults: dict[str, list[int]] = {}
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> HubServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fault(self, path: str) -> int | None:
        for end, statuses in self.faults.items():
            if statuses and re.search(end, path):
                return statuses.pop(0)
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_hub: HubServer

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def _serve(self) -> None:
        path = unquote(urlparse(self.path).path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server_hub.asked.append(f"{self.command} {path}")
        status = self.server_hub.fault(path)
        if status is not None:
            return self._refuse(
                status, {401: "Invalid credentials in Authorization header"}.get(status, "stand-in fault")
            )
        if self.headers.get("authorization") != f"Bearer {TOKEN}" and not path.startswith("/lfs/"):
            return self._refuse(401, "Invalid credentials in Authorization header")
        for method, pattern, serve in _ROUTES:
            if method == self.command.replace("HEAD", "GET") and (found := re.fullmatch(pattern, path)):
                return serve(self, body, **found.groupdict())
        return self._refuse(404, f"no route {self.command} {path}", code="EntryNotFound")

    def _send(self, content: bytes, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self, content: Any, status: int = 200, **headers: str) -> None:
        self._send(json.dumps(content).encode(), status, **headers)

    def _refuse(self, status: int, message: str, code: str | None = None) -> None:
        self._json({"error": message}, status, X_Error_Message=message, **({"X_Error_Code": code} if code else {}))

    def _found(self, kind: str, repo: str) -> Repository | None:
        found = self.server_hub.repos.get((kind, repo))
        if found is None:
            self._refuse(404, "Repository not found", code="RepoNotFound")
        return found

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        owner, name, kind = asked["organization"], asked["name"], asked.get("type", "model")
        if owner != OWNER:
            return self._refuse(403, f"You don't have the rights to create a {kind} under the namespace {owner}")
        if (kind, f"{owner}/{name}") in self.server_hub.repos:
            return self._json({"error": "exists", "url": f"{self.server_hub.url}/{owner}/{name}"}, 409)
        self.server_hub.repos[kind, f"{owner}/{name}"] = Repository(asked.get("visibility") == "private")
        prefix = "datasets/" if kind == "dataset" else ""
        return self._json({"url": f"{self.server_hub.url}/{prefix}{owner}/{name}"})

    def validate(self, body: bytes) -> None:
        """Metadata must be YAML, and have the types that the hub's documents name."""
        head = re.match(r"---\n(.*?)\n---\n", json.loads(body)["content"], re.DOTALL)
        found = yaml.safe_load(head[1]) if head else {}
        wrong = [k for k in ("license", "library_name", "pipeline_tag") if not isinstance(found.get(k, ""), str)]
        wrong += [k for k in ("tags", "datasets", "configs") if not isinstance(found.get(k, []), list)]
        if found.get("license") == "no-such-licence":
            wrong.append("license")
        errors = [{"message": f'"{name}" is not valid'} for name in wrong]
        self._json({"errors": errors, "warnings": []}, 400 if errors else 200)

    def info(self, _: bytes, kind: str, repo: str, revision: str = "main") -> None:
        if (found := self._found(kind, repo)) is None:
            return None
        files = found.branches.get(_branch(found, revision))
        if files is None:
            return self._refuse(404, "no such revision", code="RevisionNotFound")
        listed = [{"rfilename": name} for name in files]
        return self._json({"id": repo, "sha": _sha(files), "private": found.private, "siblings": listed, "tags": [],
                           "downloads": 0, "likes": 0, "gated": False, "disabled": False})  # fmt: skip

    def branch(self, _: bytes, kind: str, repo: str, branch: str) -> None:
        if (found := self._found(kind, repo)) is None:
            return None
        if branch in found.branches:
            return self._json({"error": "exists"}, 409)
        found.branches[branch] = dict(found.branches["main"])
        return self._json({})

    def preupload(self, body: bytes, kind: str, repo: str, revision: str) -> None:
        if (found := self._found(kind, repo)) is None:
            return None
        held = found.branches.get(revision, {})
        files = []
        for file in json.loads(body)["files"]:
            large = file["path"].endswith((".safetensors", ".parquet"))
            old = held.get(file["path"])
            oid = None if old is None else hashlib.sha256(old).hexdigest() if large else _git_oid(old)
            files.append(
                {"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, "oid": oid}
            )
        return self._json({"files": files})

    def batch(self, body: bytes, repo: str, kind: str | None = None) -> None:
        objects = []
        for one in json.loads(body)["objects"]:
            action = {"upload": {"href": f"{self.server_hub.url}/lfs/{one['oid']}"}}
            objects.append({**one, **({} if one["oid"] in self.server_hub.blobs else {"actions": action})})
        self._json({"transfer": "basic", "objects": objects}, **{"content_type": "application/vnd.git-lfs+json"})

    def put(self, body: bytes, oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.server_hub.blobs[oid] = body
        self._json({})

    def commit(self, body: bytes, kind: str, repo: str, revision: str) -> None:
        if (found := self._found(kind, repo)) is None:
            return None
        if revision not in found.branches:
            return self._refuse(404, "no such revision", code="RevisionNotFound")
        head, *lines = [json.loads(line) for line in body.splitlines()]
        added: dict[str, bytes] = {}
        for line in lines:
            value = line["value"]
            whole = line["key"] == "file"
            added[value["path"]] = base64.b64decode(value["content"]) if whole else self.server_hub.blobs[value["oid"]]
        found.branches[revision] |= added
        found.commits.append((revision, head["value"]["summary"], sorted(added)))
        sha = _sha(found.branches[revision])
        return self._json(
            {"success": True, "commitOid": sha, "commitUrl": f"{self.server_hub.url}/{repo}/commit/{sha}"}
        )

    def tree(self, _: bytes, kind: str, repo: str, revision: str, folder: str | None = None) -> None:
        if (found := self._found(kind, repo)) is None:
            return None
        files = found.branches[_branch(found, revision)]
        start = f"{folder}/" if folder else ""
        listed = [{"type": "file", "path": name, "size": len(c), "oid": _git_oid(c)} for name, c in files.items()]
        recursive = parse_qs(urlparse(self.path).query).get("recursive", ["false"])[0].lower() in ("true", "1")
        inside = [one for one in listed if one["path"].startswith(start)]
        if not recursive:
            folders = {
                one["path"][len(start) :].partition("/")[0] for one in inside if "/" in one["path"][len(start) :]
            }
            inside = [one for one in inside if "/" not in one["path"][len(start) :]]
            inside += [{"type": "directory", "path": start + name, "size": 0, "oid": "0" * 40} for name in folders]
        return self._json(inside)

    def paths(self, body: bytes, kind: str, repo: str, revision: str) -> None:
        if (found := self._found(kind, repo)) is None:
            return None
        files = found.branches[_branch(found, revision)]
        asked = json.loads(body)["paths"] if body[:1] == b"{" else parse_qs(body.decode())["paths"]
        self._json(
            [{"type": "file", "path": p, "size": len(files[p]), "oid": _git_oid(files[p])} for p in asked if p in files]
        )

    def resolve(self, _: bytes, repo: str, revision: str, path: str, kind: str | None = None) -> None:
        if (found := self._found("dataset" if kind else "model", repo)) is None:
            return None
        files = found.branches[_branch(found, revision)]
        if path not in files:
            return self._refuse(404, "Entry not found", code="EntryNotFound")
        oid = _git_oid(files[path])
        return self._send(files[path], kind="application/octet-stream", X_Repo_Commit=_sha(files), ETag=f'"{oid}"')


def _branch(found: Repository, revision: str) -> str:
    """The branch of a name or a commit."""
    return next((name for name, files in found.branches.items() if revision == _sha(files)), revision)


def _sha(files: dict[str, bytes]) -> str:
    return hashlib.sha1(b"".join(name.encode() + files[name] for name in sorted(files))).hexdigest()


def _git_oid(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


_API = rf"/api/(?P<kind>model|dataset)s/{_REPO}"
_ROUTES = [
    ("POST", r"/api/repos/create", _Handler.create),
    ("POST", r"/api/validate-yaml", _Handler.validate),
    ("GET", _API, _Handler.info),
    ("GET", rf"{_API}/revision/(?P<revision>.+)", _Handler.info),
    ("POST", rf"{_API}/branch/(?P<branch>.+)", _Handler.branch),
    ("POST", rf"{_API}/preupload/(?P<revision>.+)", _Handler.preupload),
    ("POST", rf"{_API}/commit/(?P<revision>.+)", _Handler.commit),
    ("GET", rf"{_API}/tree/(?P<revision>[^/]+)(?:/(?P<folder>.+))?", _Handler.tree),
    ("POST", rf"{_API}/paths-info/(?P<revision>.+)", _Handler.paths),
    ("POST", rf"/(?:(?P<kind>dataset)s/)?{_REPO}\.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", r"/lfs/(?P<oid>\w+)", _Handler.put),
    ("GET", rf"/(?:(?P<kind>dataset)s/)?{_REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", _Handler.resolve),
]
