from __future__ import annotations

import errno
import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from adapter_files import make, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from lorabench.adapters import files as adapter_files_module
from lorabench.adapters import read_adapter, unpack_adapter
from lorabench.config import Limits
from lorabench.errors import AdapterRefusedError, InputError, StorageError


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> dict[str, bytes]:
    folder = make(tmp_path_factory.mktemp("z") / "a", files={"README.md": b"# card", "lorabench.json": b"{}"})
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def pack(
    members: dict[str, bytes] | list[tuple[str | zipfile.ZipInfo, bytes]], method=zipfile.ZIP_DEFLATED
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, data)
    return buffer.getvalue()


def unpack(tmp_path: Path, blob: bytes, limits: Limits | None = None) -> Path:
    return unpack_adapter(io.BytesIO(blob), tmp_path / "out", limits)


@pytest.mark.parametrize("prefix", ["", "my-adapter/"])
def test_a_good_archive(tmp_path, content, prefix):
    blob = pack({prefix + name: data for name, data in content.items()} | {prefix + "tokenizer.json": b"{}"})
    folder = unpack(tmp_path, blob)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == content
    assert read_adapter(folder).facts.rank == 2


def test_a_good_archive_from_a_path_with_folder_entries(tmp_path, content):
    path = tmp_path / "a.zip"
    members = [("x/", b""), *((f"x/{n}", d) for n, d in content.items()), ("__MACOSX/x/._README.md", b"junk")]
    path.write_bytes(pack(members))
    assert sorted(p.name for p in unpack_adapter(path, tmp_path / "out").iterdir()) == sorted(content)


def special(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    ("rule", "extra"),
    [
        ("unsafe-path", [("../evil", b"")]),
        ("unsafe-path", [("a/../../evil", b"")]),
        ("unsafe-path", [("/etc/passwd", b"")]),
        ("unsafe-path", [("C:evil", b"")]),
        ("unsafe-path", [("a\\b", b"")]),
        ("unsafe-path", [("a//b", b"")]),
        ("unsafe-path", [("./a", b"")]),
        ("unsafe-path", [("a\x1bb", b"")]),
        ("unsafe-path", [("x" * 600, b"")]),
        ("special-member", [(special("link", stat.S_IFLNK | 0o777), b"/etc/passwd")]),
        ("special-member", [(special("fifo", stat.S_IFIFO | 0o777), b"")]),
        ("nested-archive", [("more.zip", b"")]),
        ("nested-archive", [("more.tar.GZ", b"")]),
        ("duplicate-member", [("readme.md", b"")]),
        ("too-many-members", [(f"n{i}", b"") for i in range(61)]),
        ("zip-bomb", [("zeros.txt", bytes(2 * 1024**2))]),
        ("pickle-weights", [("adapter_model.bin", b"")]),
        ("several-weight-files", [("other.safetensors", b"")]),
        ("nested-folders", [("sub/notes.txt", b"")]),
    ],
)
def test_archive_attacks_are_refused(tmp_path, content, rule, extra):
    with refused(rule):
        unpack(tmp_path, pack([*content.items(), *extra]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_same_name_twice(tmp_path, content):
    with refused("duplicate-member"):
        unpack(tmp_path, pack([*content.items(), ("README.md", b"other")]))


def test_two_folders_deep_is_refused(tmp_path, content):
    with refused("nested-folders"):
        unpack(tmp_path, pack({f"a/b/{n}": d for n, d in content.items()}))


def test_missing_files(tmp_path, content):
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        with refused("not-an-adapter", name):
            unpack(tmp_path, pack({n: d for n, d in content.items() if n != name}))


def test_unusual_compression(tmp_path, content):
    with refused("unsupported-compression"):
        unpack(tmp_path, pack(content, zipfile.ZIP_LZMA))


def test_size_caps(tmp_path, content):
    with refused("archive-too-large"):
        unpack(tmp_path, pack(content), Limits(adapter_bytes=100))
    with refused("file-too-large"):
        unpack(tmp_path, pack(content), Limits(upload_bytes=100))
    with refused("archive-too-large", "lorabench.json"):
        unpack(tmp_path, pack(content | {"lorabench.json": b" " * (256 * 1024 + 1)}))


def patched(blob: bytes, offset: int, value: bytes) -> bytes:
    """Change bytes of every central directory entry."""
    found, at = bytearray(blob), blob.find(b"PK\x01\x02")
    while at >= 0:
        found[at + offset : at + offset + len(value)] = value
        at = blob.find(b"PK\x01\x02", at + 1)
    return bytes(found)


def test_encrypted_members(tmp_path, content):
    with refused("encrypted"):
        unpack(tmp_path, patched(pack(content), 8, b"\x01\x00"))


def test_lying_sizes(tmp_path, content):
    with pytest.raises(AdapterRefusedError):
        unpack(tmp_path, patched(pack(content), 24, struct.pack("<I", 10)))
    with pytest.raises(AdapterRefusedError):
        unpack(tmp_path, patched(pack(content), 24, struct.pack("<I", 5000)))
    assert list(tmp_path.iterdir()) == []


def test_not_a_zip(tmp_path, content):
    blob = pack(content)
    with refused("bad-zip"):
        unpack(tmp_path, b"\x1f\x8b not a zip")
    with refused("bad-zip"):
        unpack(tmp_path, blob + b"trailing")
    with refused("bad-zip"):
        unpack(tmp_path, blob[:-30])
    with refused("bad-zip"):
        unpack(tmp_path, b"")


def test_zip64_is_refused(tmp_path, content):
    blob = pack(content)
    with refused("too-many-members", "zip64"):
        unpack(tmp_path, blob[:-22] + b"PK\x06\x07" + bytes(16) + blob[-22:])


def test_damaged_data_is_refused(tmp_path, content):
    blob = bytearray(pack(content, zipfile.ZIP_STORED))
    at = blob.find(b"peft_type")
    blob[at] ^= 1
    with refused("bad-zip"):
        unpack(tmp_path, bytes(blob))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_stays(tmp_path, content):
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="already something"):
        unpack(tmp_path, pack(content))


def test_a_full_disk_leaves_nothing(tmp_path, content, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(adapter_files_module.os, "fsync", fail)
    with pytest.raises(StorageError) as caught:
        unpack(tmp_path, pack(content))
    assert caught.value.rule == "disk-full"
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4), st.booleans())
def test_mutated_archives_are_unpacked_or_refused(tmp_path_factory, content, changes, at_end):
    blob = bytearray(pack(content))
    for at, value in changes:
        place = -1 - at % 400 if at_end else at % len(blob)
        blob[place] = value
    folder = tmp_path_factory.mktemp("m")
    try:
        unpack(folder, bytes(blob))
    except AdapterRefusedError:
        assert list(folder.iterdir()) == []
