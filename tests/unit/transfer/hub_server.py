"""A stand-in for a model hub on this machine: repositories in memory, over HTTP."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlparse


class Hub(ThreadingHTTPServer):
    """`repos`: files by name, by repository; `private` those that were made so."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def commit_of(self, repo: str) -> str:
        files = sorted(self.repos[repo].items())
        return hashlib.sha1(repr(files).encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, format: str, *args: Any) -> None: ...

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, content: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self, value: Any) -> None:
        self._answer(json.dumps(value).encode(), Content_Type="application/json")

    def do_POST(self) -> None:
        parts, body = urlparse(self.path).path.strip("/").split("/"), self._body()
        if parts[:3] == ["api", "repos", "create"]:
            asked = json.loads(body)
            owner = asked.get("organization") or "me"
            repo = f"{owner}/{asked['name']}"
            self.server.repos.setdefault(repo, {})
            if asked.get("private") or asked.get("visibility") == "private":
                self.server.private.add(repo)
            self._json({"url": f"{self.server.address}/{repo}"})
            return
        if parts[:2] == ["api", "validate-yaml"]:
            self._json({"errors": [], "warnings": []})
            return
        repo = "/".join(parts[2:4])
        if parts[4] == "preupload":
            files = [{**file, "uploadMode": "regular"} for file in json.loads(body)["files"]]
            self._json({"files": [{**file, "shouldIgnore": False} for file in files]})
        elif parts[4] == "commit":
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.server.repos[repo][line["value"]["path"]] = content
            commit = self.server.commit_of(repo)
            url = f"{self.server.address}/{repo}/commit/{commit}"
            self._json({"commitUrl": url, "commitOid": commit, "success": True})
        else:
            self._answer(b"", 404)

    def do_GET(self) -> None:
        parts = [unquote(part) for part in urlparse(self.path).path.strip("/").split("/")]
        model = parts[:2] == ["api", "models"]
        repo = "/".join(parts[2:4] if model else parts[:2])
        files = self.server.repos.get(repo)
        if files is None:
            self._answer(b"{}", 404, X_Error_Code="RepoNotFound", X_Error_Message="Not found")
        elif model and parts[4:5] == ["tree"]:
            found = files.items()
            self._json([{"type": "file", "path": n, "size": len(c), "oid": "0"} for n, c in found])
        elif model:
            siblings = [{"rfilename": name} for name in files]
            self._json({"id": repo, "sha": self.server.commit_of(repo), "siblings": siblings})
        else:
            content = files["/".join(parts[4:])]
            etag = f'"{hashlib.sha1(content).hexdigest()}"'
            commit = self.server.commit_of(repo)
            self._answer(content, ETag=etag, X_Repo_Commit=commit)

    def do_HEAD(self) -> None:
        self.do_GET()


@contextmanager
def hub() -> Iterator[Hub]:
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
