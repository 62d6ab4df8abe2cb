"""A model hub on this machine: folders served as the Hugging Face hub serves repositories.

It speaks as much of the hub's HTTP interface as fetching a model takes (the code that fetches is the real
one), tells what was asked for, and can be told to refuse, to break off or to hold back.
"""

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit


@dataclass
class Repository:
    """One model of the hub.

    Attributes:
        folder: its files.
        refuse: status and X-Error-Code for its files ("" for none), None to serve them.
        refuse_all: the same for everything about it.
        pull_requests: number -> (author, title, folder).
        parameters: what the hub says of the number of weights, None for nothing.
    """

    folder: Path
    refuse: tuple[int, str] | None = None
    refuse_all: tuple[int, str] | None = None
    pull_requests: dict[int, tuple[str, str, Path]] = field(default_factory=dict)
    parameters: int | None = None

    def at(self, revision: str) -> tuple[Path, str]:
        """The folder of a revision and its commit."""
        pulls = {f"refs/pr/{number}": pull[2] for number, pull in self.pull_requests.items()}
        for named, folder in {"main": self.folder, **pulls}.items():
            commit = hashlib.sha1(named.encode() + str(folder).encode()).hexdigest()
            if revision in (named, commit):
                return folder, commit
        raise KeyError(revision)


class FakeHub:
    """The server; use it in a `with` block.

    Attributes:
        repositories: what it has, by name.
        asked: "METHOD path" of each request, in order.
        held: files that are sent up to their middle and then held back until `release` is set.
        cut: files that are broken off in their middle, as often as it says.
        headers: sent with each refusal.
        page: sent in place of every answer, None for nothing of the kind.
        release: lets held files go on.
    """

    def __init__(self, **repositories: Repository) -> None:
        self.repositories = dict(repositories)
        self.asked: list[str] = []
        self.held: set[str] = set()
        self.cut: dict[str, int] = {}
        self.headers: dict[str, str] = {}
        self.page: bytes | None = None
        self.release = threading.Event()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub._answer(self, body=True)

            def do_HEAD(self) -> None:
                hub._answer(self, body=False)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        # The interval is how long the end may take.
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def fetched(self) -> list[str]:
        """The files that were sent, in order."""
        return [
            line.rsplit("/", 1)[1] for line in self.asked if line.startswith("GET") and "/resolve/" in line
        ]

    def _answer(self, request: BaseHTTPRequestHandler, body: bool) -> None:
        path = unquote(urlsplit(request.path).path)
        self.asked.append(f"{request.command} {path}")
        if self.page is not None:
            return _send(request, self.page, "text/html")
        parts = path.removeprefix("/api/models").strip("/")
        name = next((name for name in self.repositories if f"{parts}/".startswith(f"{name}/")), None)
        if name is None:
            return self._refuse(request, 401, "RepoNotFound")
        repository, rest = self.repositories[name], parts[len(name) :].strip("/")
        if repository.refuse_all is not None:
            return self._refuse(request, *repository.refuse_all)
        try:
            if rest == "discussions":
                return _send_json(request, _discussions(name, repository))
            kind, _, rest = rest.partition("/")
            if kind == "revision" or not kind:
                return _send_json(request, _info(name, repository, rest or "main"))
            if kind == "tree":
                return _send_json(request, _tree(repository, rest))
            if kind == "resolve":
                if repository.refuse is not None:
                    return self._refuse(request, *repository.refuse)
                revision, _, file = rest.rpartition("/")
                folder, commit = repository.at(revision)
                return self._send_file(request, folder / file, commit, body)
        except (KeyError, FileNotFoundError):
            pass
        return self._refuse(request, 404, "EntryNotFound")

    def _refuse(self, request: BaseHTTPRequestHandler, status: int, code: str) -> None:
        request.send_response(status)
        for name, value in {"X-Error-Code": code, **self.headers}.items():
            if value:
                request.send_header(name, value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    def _send_file(self, request: BaseHTTPRequestHandler, path: Path, commit: str, body: bool) -> None:
        content = path.read_bytes()
        request.send_response(200)
        request.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        request.send_header("X-Repo-Commit", commit)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if not body:
            return
        middle = len(content) // 2
        request.wfile.write(content[:middle])
        if self.cut.get(path.name, 0) > 0:
            self.cut[path.name] -= 1
            return
        if path.name in self.held:
            request.wfile.flush()
            self.release.wait(30)
        try:
            request.wfile.write(content[middle:])
        except OSError:
            pass  # the other side has gone


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def _info(name: str, repository: Repository, revision: str) -> dict[str, Any]:
    folder, commit = repository.at(revision)
    siblings = [{"rfilename": path.name, "size": path.stat().st_size} for path in _files(folder)]
    info: dict[str, Any] = {"_id": "1", "id": name, "modelId": name, "sha": commit, "siblings": siblings}
    if repository.parameters is not None:
        info["safetensors"] = {"parameters": {"F32": repository.parameters}, "total": repository.parameters}
    return info


def _tree(repository: Repository, revision: str) -> list[dict[str, Any]]:
    folder, _ = repository.at(revision)
    return [
        {"type": "file", "path": path.name, "size": path.stat().st_size, "oid": path.name}
        for path in _files(folder)
    ]


def _discussions(name: str, repository: Repository) -> dict[str, Any]:
    pulls = [
        {
            "num": number,
            "title": title,
            "status": "open",
            "author": {"name": author},
            "isPullRequest": True,
            "createdAt": "2026-01-01T00:00:00.000Z",
            "repo": {"name": name, "type": "model"},
        }
        for number, (author, title, _) in repository.pull_requests.items()
    ]
    return {"discussions": pulls, "count": len(pulls), "start": 0}


def _send_json(request: BaseHTTPRequestHandler, data: Any) -> None:
    _send(request, json.dumps(data).encode(), "application/json")


def _send(request: BaseHTTPRequestHandler, content: bytes, kind: str) -> None:
    request.send_response(200)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)
