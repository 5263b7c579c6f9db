"""The real hub client against a small server on loopback that answers like the hub."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from lorabench.config import Config
from lorabench.errors import BaseModelError, CancelledError
from lorabench.models import fetch, hub
from lorabench.models.fingerprint import fingerprint_folder
from lorabench.models.manifest import MANIFEST_NAME

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OLD_COMMIT = "fedcba9876543210fedcba9876543210fedcba98"
WEIGHTS = "model.safetensors"


@dataclass
class Hub:
    """What the server knows, and what it was asked.

    Attributes:
        repos: Files by repository and commit.
        heads: Commit by repository and branch or tag.
        url: Where it listens.
        requests: Method and path of every request, in order.
        ranges: Range header of every request for weights.
        cut_after: Close the connection after so many bytes of weights ...
        cuts_left: ... so many times.
        status: Answer everything with this status instead, if set.
    """

    repos: dict[tuple[str, str], dict[str, bytes]]
    heads: dict[tuple[str, str], str]
    url: str = ""
    requests: list[str] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    cut_after: int = 0
    cuts_left: int = 0
    status: int | None = None
    wrong_bytes: bool = False

    def info(self, repo: str, revision: str) -> dict[str, object] | None:
        commit = self.heads.get((repo, revision), revision)
        files = self.repos.get((repo, commit))
        if files is None:
            return None
        siblings = []
        for name, data in files.items():
            sibling: dict[str, object] = {"rfilename": name, "size": len(data)}
            sibling["blobId"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            if name.endswith((".safetensors", ".bin")):
                sha256 = hashlib.sha256(data).hexdigest()
                sibling["lfs"] = {"size": len(data), "sha256": sha256, "pointerSize": 130}
            siblings.append(sibling)
        return {"id": repo, "sha": commit, "siblings": siblings, "cardData": {"license": "mit"}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(path)
        if self.hub.status is not None:
            self.reply(self.hub.status)
        elif path.startswith("/api/models/"):
            self.info(path.removeprefix("/api/models/"))
        elif path.startswith("/cdn/"):
            self.content(path.removeprefix("/cdn/"))
        elif "/resolve/" in path:
            self.resolve(path)
        else:
            self.reply(404)

    do_HEAD = do_GET

    def info(self, path: str) -> None:
        repo, _, revision = path.partition("/revision/")
        answer = self.hub.info(repo, revision or "main")
        if answer is not None:
            self.reply(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})
        else:
            known = any(name == repo for name, _ in self.hub.repos)
            self.reply(404, b"{}", {"X-Error-Code": "RevisionNotFound" if known else "RepoNotFound"})

    def resolve(self, path: str) -> None:
        repo, _, rest = path.strip("/").partition("/resolve/")
        commit, _, name = rest.partition("/")
        data = self.hub.repos.get((repo, commit), {}).get(name)
        if data is None:
            self.reply(404, headers={"X-Error-Code": "EntryNotFound"})
        elif name.endswith(".safetensors"):  # like the hub, large files live behind a redirect
            headers = {
                "Location": f"/cdn/{repo}/{commit}/{name}",
                "X-Repo-Commit": commit,
                "X-Linked-Size": str(len(data)),
                "X-Linked-ETag": f'"{hashlib.sha256(data).hexdigest()}"',
            }
            self.reply(302, headers=headers)
        else:
            self.reply(200, data, {"ETag": '"x"', "X-Repo-Commit": commit})

    def content(self, path: str) -> None:
        owner, model, commit, name = path.split("/")
        data = self.hub.repos[f"{owner}/{model}", commit][name]
        if self.hub.wrong_bytes:
            data = bytes(len(data))
        asked = self.headers.get("Range")
        self.hub.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("Accept-Ranges", "bytes")
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        body = data[start:]
        if self.hub.cuts_left:
            self.hub.cuts_left -= 1
            body = body[: self.hub.cut_after]
            self.close_connection = True
        self.wfile.write(body)

    def reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of a few hundred kB, as transformers saves it."""
    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    sizes = {"vocab_size": 64, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=2)).save_pretrained(
        folder
    )
    backend = Tokenizer(models.WordLevel({"<unk>": 0, "hello": 1, "world": 2}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "<unk>",
        "chat_template": "{{ 1 }}",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture
def server(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    files = {path.name: path.read_bytes() for path in tiny.iterdir()}
    never = {"modeling_evil.py": b"raise RuntimeError", "README.md": b"#", "onnx/model.onnx": b"x"}
    full = {**files, **never, "pytorch_model.bin": b"pickle", "extra/model.safetensors": b"x"}
    config = json.loads(files["config.json"])
    coded = {**files, "config.json": json.dumps({**config, "auto_map": {"AutoModel": "evil.Model"}}).encode()}
    pickled = {"config.json": files["config.json"], "pytorch_model.bin": b"pickle"}
    adapter = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"x"}
    state = Hub(
        repos={
            ("tiny/llama", COMMIT): full,
            ("tiny/llama", OLD_COMMIT): {**full, WEIGHTS: files[WEIGHTS][:-1] + b"\1"},
            ("tiny/coded", COMMIT): coded,
            ("tiny/pickled", COMMIT): pickled,
            ("tiny/adapter", COMMIT): adapter,
        },
        heads={
            ("tiny/llama", "main"): COMMIT,
            ("tiny/llama", "v1"): OLD_COMMIT,
            ("tiny/coded", "main"): COMMIT,
            ("tiny/pickled", "main"): COMMIT,
            ("tiny/adapter", "main"): COMMIT,
        },
    )
    listener = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": state}))
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{listener.server_port}"
    # The client reads its settings once; these are the ones that could reach outside this test.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
    for name in ("HF_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(hub, "_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)  # 10 MB, larger than the whole tiny model
    huggingface_hub.close_session()
    yield state
    huggingface_hub.close_session()
    listener.shutdown()
    listener.server_close()
    thread.join(10)
    assert not (tmp_path / "hf").exists(), "the hub cache is the user's: nothing is put there"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")


def folders(config: Config) -> list[str]:
    return sorted(path.name for path in config.bases_dir.iterdir() if path.is_dir())


def test_pull_fetches_only_weights_and_json_pinned_to_the_commit(server, config, tiny):
    base = fetch.pull("tiny/llama", config, endpoint=server.url)
    folder = fetch.resolve("tiny/llama", config)
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        WEIGHTS,
        MANIFEST_NAME,
    }
    assert base.is_present
    assert base.fingerprint == fingerprint_folder(tiny)
    assert (base.licence, base.chat_template) == ("mit", "own")
    assert COMMIT in base.source
    assert all(f"/resolve/{COMMIT}/" in path for path in server.requests if "/resolve/" in path)
    assert folders(config) == ["tiny--llama"]
    assert fetch.verify("tiny/llama", config).is_intact


def test_the_pulled_folder_loads_as_the_same_model(server, config, tiny):
    fetch.pull("tiny/llama", config, endpoint=server.url)
    folder = fetch.resolve("tiny/llama", config)
    loaded = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
    source = AutoModelForCausalLM.from_pretrained(tiny, local_files_only=True).eval()
    ids = torch.tensor(
        [AutoTokenizer.from_pretrained(folder, local_files_only=True)("hello world")["input_ids"]]
    )
    with torch.inference_mode():
        torch.testing.assert_close(loaded(ids).logits, source(ids).logits, rtol=0, atol=0)


def test_a_second_pull_uses_no_network(server, config):
    first = fetch.pull("tiny/llama", config, endpoint=server.url)
    server.requests.clear()
    assert fetch.pull("tiny/llama", config, endpoint=server.url) == first
    assert fetch.pull("tiny/llama", config) == first
    assert fetch.pull("tiny/llama", config, revision=COMMIT) == first
    assert server.requests == []


def test_progress_grows_to_the_total(server, config):
    seen: list[tuple[int, int, str]] = []
    fetch.pull("tiny/llama", config, endpoint=server.url, on_progress=lambda *step: seen.append(step))
    down = [(done, total) for done, total, text in seen if text.startswith("Downloading")]
    assert down == sorted(down)
    assert down[-1][0] == down[-1][1]
    assert f"Downloading {WEIGHTS}" in {text for _, _, text in seen}
    assert seen[-1][2] == "Checking the weights"


def test_another_revision_replaces_the_base(server, config):
    newest = fetch.pull("tiny/llama", config, endpoint=server.url)
    older = fetch.pull("tiny/llama", config, endpoint=server.url, revision="v1")
    assert OLD_COMMIT in older.source
    assert older.fingerprint != newest.fingerprint
    server.requests.clear()
    assert fetch.pull("tiny/llama", config, endpoint=server.url, revision="v1") == older
    assert server.requests == []
    assert folders(config) == ["tiny--llama"]


def test_a_cut_connection_is_resumed_within_a_pull(server, config):
    server.cut_after, server.cuts_left = 50_000, 3
    assert fetch.pull("tiny/llama", config, endpoint=server.url).is_present
    assert server.ranges[0] is None
    assert server.ranges[1:] == ["bytes=50000-", "bytes=100000-", "bytes=150000-"]
    assert fetch.verify("tiny/llama", config).is_intact


def test_a_failed_pull_is_resumed_by_the_next_one(server, config):
    server.cut_after, server.cuts_left = 60_000, 1

    def go_down(done: int, total: int, text: str) -> None:
        if text == f"Downloading {WEIGHTS}":
            server.status = 503

    with pytest.raises(BaseModelError, match="finished parts are kept") as caught:
        fetch.pull("tiny/llama", config, endpoint=server.url, on_progress=go_down)
    assert caught.value.rule == "hub-unreachable"
    assert not fetch.describe("tiny/llama", config).is_present
    server.status = None
    server.ranges.clear()
    server.requests.clear()
    assert fetch.pull("tiny/llama", config, endpoint=server.url).is_present
    assert server.ranges == ["bytes=60000-"]
    assert not any("tokenizer.json" in path for path in server.requests)
    assert fetch.verify("tiny/llama", config).is_intact


def test_cancelling_keeps_the_parts_and_remove_deletes_them(server, config):
    def cancel(done: int, total: int, text: str) -> None:
        if text == f"Downloading {WEIGHTS}":
            raise CancelledError

    with pytest.raises(CancelledError):
        fetch.pull("tiny/llama", config, endpoint=server.url, on_progress=cancel)
    assert folders(config) == [f".partial-tiny--llama@{COMMIT}"]
    assert fetch.remove("tiny/llama", config)
    assert folders(config) == []


def test_weights_that_are_not_the_announced_ones_are_refused(server, config):
    server.wrong_bytes = True
    with pytest.raises(BaseModelError) as caught:
        fetch.pull("tiny/llama", config, endpoint=server.url)
    assert caught.value.rule == "hub-digest"
    server.wrong_bytes = False
    assert fetch.pull("tiny/llama", config, endpoint=server.url).is_present


@pytest.mark.parametrize(
    ("repo", "rule"),
    [
        ("tiny/coded", "base-remote-code"),
        ("tiny/pickled", "base-pickle-only"),
        ("tiny/adapter", "base-is-adapter"),
        ("tiny/missing", "hub-not-found"),
    ],
)
def test_unusable_repositories_are_refused_before_any_weights_are_fetched(server, config, repo, rule):
    with pytest.raises(BaseModelError) as caught:
        fetch.pull(repo, config, endpoint=server.url)
    assert caught.value.rule == rule
    assert server.ranges == []
    assert folders(config) == []


def test_an_unknown_revision_is_named(server, config):
    with pytest.raises(BaseModelError) as caught:
        fetch.pull("tiny/llama", config, endpoint=server.url, revision="no-such")
    assert caught.value.rule == "hub-revision"


def test_a_server_that_is_down_is_named_with_what_to_do(server, config):
    with pytest.raises(BaseModelError, match="lorabench models pull demo") as caught:
        fetch.pull("tiny/llama", config, endpoint="http://127.0.0.1:9")
    assert caught.value.rule == "hub-unreachable"
    server.status = 500
    with pytest.raises(BaseModelError, match="status 500") as caught:
        fetch.pull("tiny/llama", config, endpoint=server.url)
    assert caught.value.rule == "hub-unreachable"


def test_something_else_than_a_hub_is_named(server, config, monkeypatch):
    monkeypatch.setattr(Hub, "info", lambda *args: ["not", "a", "hub"])
    with pytest.raises(BaseModelError, match="not a model hub's"):
        fetch.pull("tiny/llama", config, endpoint=server.url)


def test_offline_mode_is_respected(server, config, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BaseModelError) as caught:
        fetch.pull("tiny/llama", config, endpoint=server.url)
    assert caught.value.rule == "hub-offline"
    assert server.requests == []
