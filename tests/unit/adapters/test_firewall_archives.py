"""Archives and uploads (rows 28 and 31): each attack under the canary, with the level it is reported at."""

from __future__ import annotations

import io
import json
import stat
import time
import tracemalloc
import zipfile
from collections.abc import Callable

import pytest
from adapter_files import make
from firewall_files import Den, canary

from lorabench.adapters import left_out_findings, left_out_names, unpack_adapter
from lorabench.config import Limits
from lorabench.errors import AdapterRefusedError
from lorabench.results.rules import RULES

Members = list[tuple[str | zipfile.ZipInfo, bytes]]


@pytest.fixture
def den(tmp_path):
    with canary(Den(tmp_path)) as found:
        yield found


@pytest.fixture
def good(tmp_path) -> Members:
    folder = make(tmp_path / "good")
    return [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]


def packed(members: Members) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def link(name: str, kind: int = stat.S_IFLNK) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    return info


ATTACKS: list[tuple[str, str, Callable[[Den], Members]]] = [
    ("unsafe-path", "block", lambda den: [("../x.json", b"{}")]),
    ("unsafe-path", "block", lambda den: [("/etc/x.json", b"{}")]),
    ("unsafe-path", "block", lambda den: [("C:\\x.json", b"{}")]),
    ("unsafe-path", "block", lambda den: [("a\u202e.json", b"{}")]),
    ("special-member", "block", lambda den: [(link("README.md"), b"/etc/passwd")]),
    ("special-member", "block", lambda den: [(link("pipe", stat.S_IFIFO), b"")]),
    ("zip-bomb", "block", lambda den: [("README.md", bytes(200 * 1024**2))]),
    ("nested-archive", "review", lambda den: [("x.zip", b"PK")]),
    ("nested-archive", "review", lambda den: [("x.tar.gz", b"")]),
    ("pickle-weights", "review", lambda den: [("adapter_model.bin", den.pickle())]),
    ("several-weight-files", "review", lambda den: [("x.safetensors", b"")]),
    ("duplicate-member", "review", lambda den: [("readme.md", b""), ("README.md", b"")]),
    ("too-many-members", "inconclusive", lambda den: [(f"{i}.txt", b"") for i in range(70)]),
]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("rule", "level", "members"), ATTACKS)
def test_attacks_by_archive(den, good, tmp_path, rule, level, members):
    blob = packed([*good, *members(den)])
    with pytest.raises(AdapterRefusedError) as caught:
        unpack_adapter(io.BytesIO(blob), tmp_path / "out")
    assert caught.value.rule == rule
    assert RULES[rule].level == level
    assert not (tmp_path / "out").exists()


def test_a_zip_bomb_is_refused_at_once(den, good, tmp_path):
    blob = packed([*good, ("README.md", bytes(1024**3 // 4))])
    tracemalloc.start()
    started = time.process_time()
    with pytest.raises(AdapterRefusedError) as caught:
        unpack_adapter(io.BytesIO(blob), tmp_path / "out")
    seconds = time.process_time() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.rule == "zip-bomb"
    assert seconds < 1
    assert peak < 20 * 1024**2


def test_a_lying_directory_is_noticed_while_unpacking(den, good, tmp_path):
    """The declared size is small, the data are not: no more than what was declared is ever written."""
    blob = packed([*good, ("README.md", bytes(3 * 1024**2))])
    at = blob.rfind(b"PK\x01\x02")
    lying = blob[: at + 24] + (1000).to_bytes(4, "little") + blob[at + 28 :]
    with pytest.raises(AdapterRefusedError) as caught:
        unpack_adapter(io.BytesIO(lying), tmp_path / "out")
    assert caught.value.rule in ("bad-zip", "size-mismatch")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a", b"\x1f\x8b\x08" + bytes(40), b"{}", b"PK\x03\x04" + bytes(60)]
)
def test_an_upload_is_judged_by_its_bytes(den, tmp_path, content):
    """Row 31: what the browser says about name or type is never asked for."""
    with pytest.raises(AdapterRefusedError) as caught:
        unpack_adapter(io.BytesIO(content), tmp_path / "out")
    assert caught.value.rule == "bad-zip"


def test_a_pickle_as_an_upload_is_never_opened(den, tmp_path):
    with pytest.raises(AdapterRefusedError):
        unpack_adapter(io.BytesIO(den.pickle()), tmp_path / "out")


def test_an_upload_that_is_too_large_is_not_read(tmp_path):
    with pytest.raises(AdapterRefusedError) as caught:
        unpack_adapter(io.BytesIO(bytes(2000)), tmp_path / "out", Limits(upload_bytes=1000))
    assert caught.value.rule == "file-too-large"


def test_code_in_an_archive_does_not_come_out(den, good, tmp_path):
    blob = packed([*good, ("loader.py", den.code), ("config.json", json.dumps({"auto_map": {}}).encode())])
    folder = unpack_adapter(io.BytesIO(blob), tmp_path / "out")
    assert sorted(p.name for p in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    names = left_out_names(io.BytesIO(blob))
    assert names == ("config.json", "loader.py")
    found = {f.rule: (f.level, f.where) for f in left_out_findings((*names, "tokenizer.json", "notes.txt"))}
    assert found == {
        "base-config-file": ("review", "config.json"),
        "code-file": ("review", "loader.py"),
        "tokenizer-not-compared": ("inconclusive", "tokenizer.json"),
    }
