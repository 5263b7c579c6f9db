"""The hub client against a hub of our own on the loopback address."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from adapter_files import make, refused

from lorabench.adapters import fetch_adapter, is_repo_id, read_adapter
from lorabench.config import Limits
from lorabench.errors import InputError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub(ThreadingHTTPServer):
    files: dict[str, bytes]
    asked: list[str]
    sha: Any = COMMIT


class Handler(BaseHTTPRequestHandler):
    server: FakeHub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub = self.server
        hub.asked.append(self.path)
        if self.path.startswith("/api/models/owner/name"):
            revision = self.path.split("?")[0].partition("/revision/")[2] or "main"
            if revision not in ("main", COMMIT):
                return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            siblings = [{"rfilename": n, "size": len(d)} for n, d in hub.files.items()]
            body = {"id": "owner/name", "sha": hub.sha, "siblings": siblings}
            return self.answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})
        if self.path.startswith("/api/models/owner/gated"):
            return self.answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
        if self.path.startswith("/api/models/owner/broken"):
            return self.answer(418, b"{}", {})
        prefix = f"/owner/name/resolve/{COMMIT}/"
        name = self.path.removeprefix(prefix)
        if self.path.startswith(prefix) and name in hub.files:
            data = hub.files[name]
            headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
            return self.answer(200, data, headers)
        return self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def hub(tmp_path) -> Iterator[FakeHub]:
    server = FakeHub(("127.0.0.1", 0), Handler)
    folder = make(tmp_path / "made", files={"README.md": b"card"})
    server.files = {p.name: p.read_bytes() for p in folder.iterdir()} | {"tokenizer.json": b"{}", "x.py": b""}
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(hub: FakeHub, into: Path, repo_id: str = "owner/name", revision: str | None = None, **more: Any):
    return fetch_adapter(repo_id, revision, into, endpoint=f"http://127.0.0.1:{hub.server_port}", **more)


@pytest.mark.parametrize("keep", [True, False])
def test_only_the_allowed_files_of_the_pinned_commit_are_fetched(hub, tmp_path, keep):
    out = tmp_path / "x" / "out"
    found = fetch(hub, out, cache_dir=tmp_path / "cache" if keep else None)
    assert (found.commit, found.repo_id, found.path) == (COMMIT, "owner/name", out)
    assert found.left_out == ("tokenizer.json", "x.py")
    assert sorted(p.name for p in out.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert not any(p.is_symlink() for p in out.iterdir())
    assert read_adapter(out).facts.rank == 2
    assert all(COMMIT in path for path in hub.asked if "/resolve/" in path)
    assert not any(name in path for path in hub.asked for name in ("tokenizer.json", "x.py"))
    assert list((tmp_path / "x").iterdir()) == [out]


def test_refusals(hub, tmp_path):
    out = tmp_path / "out"
    with refused("file-too-large"):
        fetch(hub, out, limits=Limits(adapter_bytes=10))
    weights = hub.files.pop("adapter_model.safetensors")
    with refused("not-an-adapter"):
        fetch(hub, out)
    hub.files["adapter_model.bin"] = weights
    with refused("pickle-weights"):
        fetch(hub, out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("repo_id", "revision", "rule"),
    [
        ("owner/other", None, "unknown-repository"),
        ("owner/gated", None, "hub-gated"),
        ("owner/broken", None, "hub-failed"),
        ("owner/name", "nope", "unknown-revision"),
        ("owner", None, "bad-hub-id"),
        ("../../etc", None, "bad-hub-id"),
        ("a/b/c", None, "bad-hub-id"),
        ("https://evil/x", None, "bad-hub-id"),
        ("owner/na..me", None, "bad-hub-id"),
        ("owner/name", "../x", "bad-hub-id"),
        ("owner/name", "a b", "bad-hub-id"),
    ],
)
def test_what_can_go_wrong(hub, tmp_path, repo_id, revision, rule):
    with pytest.raises(InputError) as caught:
        fetch(hub, tmp_path / "out", repo_id, revision)
    assert caught.value.rule == rule, str(caught.value)


def test_a_hub_without_a_commit(hub, tmp_path):
    hub.sha = "main/../../x"
    with pytest.raises(InputError, match="names no commit"):
        fetch(hub, tmp_path / "out")


def test_no_network(hub, tmp_path):
    with pytest.raises(InputError) as caught:
        fetch_adapter("owner/name", None, tmp_path / "out", endpoint="http://127.0.0.1:9")
    assert caught.value.rule == "hub-unreachable"
    assert "by its path" in str(caught.value)


def test_offline_mode(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError) as caught:
        fetch(hub, tmp_path / "out")
    assert caught.value.rule == "hub-unreachable"


def test_repo_ids():
    assert is_repo_id("owner/name-1.5_b")
    assert not any(
        map(is_repo_id, ["x", "a/b/c", "-a/b", "a/.b", "a--b/c", "a/" + "b" * 100, "ä/b", "a/b\n"])
    )
