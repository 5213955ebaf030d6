"""A server that speaks as much of the Hugging Face Hub's HTTP as its own library needs."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_a_friend"
GATED = "them/gated"
LARGE = 100_000
"""Bytes above which a file is sent apart from its commit, as large files are."""


class Hub:
    """Repositories: revision -> file -> content, and what was asked."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, dict[str, bytes]]] = {}
        self.large: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.ranges: list[str] = []
        self.cut_off: dict[str, int] = {}
        """File -> how often a download of it ends in the middle."""
        self.status = 0
        """What every question is answered with, if it is not 0."""
        self.url = ""

    def add(self, repository: str, files: Mapping[str, bytes], revision: str = "main") -> str:
        """Put files into a repository; returns their commit."""
        digest = hashlib.sha1(usedforsecurity=False)
        for name, content in sorted(files.items()):
            digest.update(name.encode() + content)
        commit = digest.hexdigest()
        found = self.repositories.setdefault(repository, {})
        found[revision] = found[commit] = dict(files)
        return commit

    def commit_of(self, repository: str, revision: str) -> str | None:
        """Return the commit that a revision means."""
        revisions = self.repositories[repository]
        files = revisions.get(revision)
        return next((c for c, f in revisions.items() if len(c) == 40 and f == files), None)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(self._chunks())
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path))
        if self.hub.status:
            return self._json({"error": "later"}, self.hub.status)
        for pattern, method in (
            (r"/api/repos/create", self._create),
            (r"/api/validate-yaml", self._validate),
            (r"/api/models/(\w+/[\w.-]+)/preupload/(.+)", self._preupload),
            (r"/api/models/(\w+/[\w.-]+)/commit/(.+)", self._commit),
            (r"/(\w+/[\w.-]+)\.git/info/lfs/objects/batch", self._batch),
            (r"/large/(\w+)", self._take),
            (r"/api/models/(\w+/[\w.-]+)/tree/([^/]+)", self._tree),
            (r"/api/models/(\w+/[\w.-]+)(?:/revision/(.+))?", self._info),
            (r"/(\w+/[\w.-]+)/resolve/([^/]+)/(.+)", self._file),
        ):
            match = re.fullmatch(pattern, path)
            if match:
                return method(body, *match.groups())
        return self._json({"error": "no such page"}, 404)

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _json(self, value: Any, status: int = 200, **headers: str) -> None:
        self._send(json.dumps(value).encode(), status, headers)

    def _send(self, content: bytes, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _is_friend(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _refuse(self, repository: str, revision: str) -> bool:
        """Answer what the hub answers where there is nothing for this client."""
        if repository == GATED and not self._is_friend():
            self._json({}, 403, X_Error_Code="GatedRepo", X_Error_Message="ask the owner")
        elif repository not in self.hub.repositories:
            self._json({}, 401, X_Error_Code="RepoNotFound", X_Error_Message="no such repository")
        elif revision not in self.hub.repositories[repository]:
            self._json({}, 404, X_Error_Code="RevisionNotFound", X_Error_Message="no revision")
        else:
            return False
        return True

    def _info(self, _: bytes, repository: str, revision: str | None) -> None:
        revision = revision or "main"
        if self._refuse(repository, revision):
            return
        commit = self.hub.commit_of(repository, revision)
        names = self.hub.repositories[repository][revision]
        siblings = [{"rfilename": name} for name in names]
        self._json({"id": repository, "sha": commit, "siblings": siblings, "tags": []})

    def _tree(self, _: bytes, repository: str, revision: str) -> None:
        if self._refuse(repository, revision):
            return
        self._json(
            [
                {"type": "file", "path": name, "size": len(content), "oid": _etag(content)}
                for name, content in self.hub.repositories[repository][revision].items()
            ]
        )

    def _file(self, _: bytes, repository: str, revision: str, name: str) -> None:
        if self._refuse(repository, revision):
            return
        content = self.hub.repositories[repository][revision].get(name)
        if content is None:
            return self._json({}, 404, X_Error_Code="EntryNotFound")
        headers = {
            "ETag": f'"{_etag(content)}"',
            "X-Repo-Commit": self.hub.commit_of(repository, revision) or "",
            "Accept-Ranges": "bytes",
        }
        wanted = self.headers.get("Range")
        start, status = 0, 200
        if wanted and self.command == "GET":
            self.hub.ranges.append(wanted)
            start, status = int(wanted.split("=")[1].split("-")[0]), 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if self.command == "GET" and self.hub.cut_off.get(name):
            self.hub.cut_off[name] -= 1
            self.send_response(status)
            for key, text in headers.items():
                self.send_header(key, text)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start : start + (len(content) - start) // 2])
            self.close_connection = True
            return None
        return self._send(content[start:], status, headers)

    def _create(self, body: bytes) -> None:
        if not self._is_friend():
            return self._json({"error": "who are you?"}, 401)
        asked = json.loads(body)
        name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
        if name in self.hub.repositories:
            return self._json({"url": f"{self.hub.url}/{name}"}, 409)
        self.hub.add(name, {})
        return self._json({"url": f"{self.hub.url}/{name}", "id": name})

    def _validate(self, body: bytes) -> None:
        assert json.loads(body)["content"].startswith("---\n")
        self._json({"errors": [], "warnings": []})

    def _preupload(self, body: bytes, repository: str, _: str) -> None:
        files = json.loads(body)["files"]
        self._json(
            {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if file["size"] > LARGE else "regular",
                        "shouldIgnore": False,
                    }
                    for file in files
                ]
            }
        )

    def _batch(self, body: bytes, _: str) -> None:
        objects = json.loads(body)["objects"]
        for one in objects:
            one["actions"] = {"upload": {"href": f"{self.hub.url}/large/{one['oid']}"}}
        self._json({"transfer": "basic", "objects": objects})

    def _take(self, body: bytes, oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.large[oid] = body
        self._send(b"", 200, {})

    def _commit(self, body: bytes, repository: str, revision: str) -> None:
        files = dict(self.hub.repositories[repository].get(revision, {}))
        for line in body.splitlines():
            value = json.loads(line)["value"]
            if json.loads(line)["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif json.loads(line)["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
        commit = self.hub.add(repository, files, revision)
        url = f"{self.hub.url}/{repository}/commit/{commit}"
        self._json({"success": True, "commitOid": commit, "commitUrl": url, "hookOutput": ""})


def _etag(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


@contextmanager
def served_hub() -> Iterator[Hub]:
    """Yield a hub that is served on loopback."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
