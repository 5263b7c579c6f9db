from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from lorabench.errors import BaseModelError
from lorabench.models.fingerprint import file_sha256, fingerprint_folder

TENSORS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array([1, 2, 3], dtype=np.int64),
    "empty": np.zeros((0, 4), dtype=np.float16),
    "scalar": np.array(2.5, dtype=np.float32),
}


@pytest.fixture
def folder(tmp_path):
    save_file(TENSORS, tmp_path / "model.safetensors")
    return tmp_path


def test_it_is_the_documented_sha256(folder):
    import hashlib

    digest = hashlib.sha256()
    names = {"float32": "F32", "int64": "I64", "float16": "F16"}
    for name, value in sorted(TENSORS.items()):
        line = json.dumps([name, names[str(value.dtype)], list(value.shape)]) + "\n"
        digest.update(line.encode() + value.tobytes())
    assert fingerprint_folder(folder) == digest.hexdigest()


def test_packing_does_not_matter(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("sharded")
    items = list(reversed(TENSORS.items()))
    save_file(dict(items[:1]), other / "model-00001-of-00002.safetensors", metadata={"format": "pt"})
    save_file(dict(items[1:]), other / "model-00002-of-00002.safetensors")
    assert fingerprint_folder(other) == fingerprint_folder(folder)


@pytest.mark.parametrize(
    "changed",
    [
        {"a": TENSORS["a"].reshape(3, 2)},
        {"a": TENSORS["a"].view(np.int32)},
        {"a": np.nextafter(TENSORS["a"], np.float32(9))},
        {"c": np.zeros(1, np.float32)},
    ],
    ids=["shape", "dtype", "one step of one number", "one tensor more"],
)
def test_any_change_of_a_tensor_changes_it(folder, changed, tmp_path_factory):
    other = tmp_path_factory.mktemp("changed")
    save_file({**TENSORS, **changed}, other / "model.safetensors")
    assert fingerprint_folder(other) != fingerprint_folder(folder)


def test_a_tensor_in_two_files_is_refused(folder):
    save_file({"a": TENSORS["a"]}, folder / "more.safetensors")
    with pytest.raises(BaseModelError, match="also holds its tensor 'a'"):
        fingerprint_folder(folder)


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(BaseModelError) as caught:
        fingerprint_folder(tmp_path)
    assert caught.value.rule == "base-unreadable"


def _with_header(header: object) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"\0" * 16


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1234567",
        struct.pack("<Q", 2**63) + b"{}",
        _with_header([]),
        _with_header(b"[" * 50_000),
        _with_header({"a": {"dtype": "F32", "shape": [5], "data_offsets": [0, 20]}}),
        _with_header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [8, 4]}}),
        _with_header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}),
        _with_header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0.0, 4]}}),
        _with_header({"a": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}}),
        _with_header({"a": {"dtype": 1, "shape": [1], "data_offsets": [0, 4]}}),
        _with_header({"a": {"shape": [1], "data_offsets": [0, 4]}}),
        _with_header({"a": 1}),
        _with_header(
            b'{"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}, "a": {"dtype": "U8", '
            b'"shape": [1], "data_offsets": [1, 2]}}'
        ),
    ],
)
def test_malformed_files_are_refused(tmp_path, data):
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(BaseModelError) as caught:
        fingerprint_folder(tmp_path)
    assert caught.value.rule == "base-unreadable"


@settings(deadline=None)  # creates a folder each time
@given(st.binary(max_size=64))
def test_no_bytes_make_it_crash(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("any")
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", max(len(data) - 4, 0)) + data)
    with pytest.raises(BaseModelError):
        fingerprint_folder(folder)


def test_file_sha256_of_a_known_text(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert file_sha256(tmp_path / "x").startswith("ba7816bf8f01cfea")
