from __future__ import annotations

import hashlib
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from adapter_files import encode, framed, parts, refused
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from safetensors.numpy import save_file

from lorabench.adapters import SafetensorsFile
from lorabench.errors import AdapterRefusedError

CAP = 1024**2
ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def read(path: Path, blob: bytes, cap: int = CAP) -> dict[str, np.ndarray]:
    path.write_bytes(blob)
    with SafetensorsFile(path, max_bytes=cap) as file:
        return {entry.name: array for entry, array in file.tensors()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "adapter_model.safetensors"


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32", "F64"])
def test_every_dtype_becomes_float32(path, dtype):
    values = np.array([[1.0, -0.5, 0.25], [3.0, 0.0, -1024.0]], dtype=np.float32)  # exact in all four
    found = read(path, framed(*parts({"x": values}, dtype)))["x"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values)


def test_bfloat16_bits(path):
    header = {"x": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}
    found = read(path, framed(header, struct.pack("<4H", 0x3F80, 0xC000, 0x0000, 0x7F80)))["x"]
    np.testing.assert_array_equal(found, [1.0, -2.0, 0.0, np.inf])


@settings(max_examples=40, deadline=None)
@given(arrays(np.float32, array_shapes(max_dims=3, max_side=6), elements=st.floats(-1e4, 1e4, width=32)))
def test_reads_what_the_safetensors_library_writes(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("st") / "x.safetensors"
    save_file({"b": values, "a": values[:1].copy()}, path, metadata={"format": "pt"})
    with SafetensorsFile(path, max_bytes=CAP) as file:
        found = {entry.name: array for entry, array in file.tensors()}
        assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    np.testing.assert_array_equal(found["b"], values)
    np.testing.assert_array_equal(found["a"], values[:1])


def test_the_digest_is_known_only_after_everything_was_read(path):
    path.write_bytes(framed({"x": ONE}, bytes(8)))
    with SafetensorsFile(path, max_bytes=CAP) as file:
        assert [e.name for e in file.entries] == ["x"]
        with pytest.raises(RuntimeError):
            _ = file.sha256


def entry(**changes: object) -> dict[str, object]:
    return {"x": ONE | changes}


HEADER_ATTACKS = [
    ("bad-header", {"x": {"dtype": "F32", "shape": [2]}}, 8),
    ("bad-header", entry(extra=1), 8),
    ("bad-header", {"x": 3}, 8),
    ("bad-header", {"x": ONE, "__metadata__": {"a": 1}}, 8),
    ("bad-header", {"x": ONE, "__metadata__": [1]}, 8),
    ("unsupported-dtype", entry(dtype="F8_E4M3", data_offsets=[0, 2]), 2),
    ("unsupported-dtype", entry(dtype="I8"), 8),
    ("unsupported-dtype", entry(dtype=["F32"]), 8),
    ("bad-shape", entry(shape=[-2]), 8),
    ("bad-shape", entry(shape=[2.0]), 8),
    ("bad-shape", entry(shape=[True, 2]), 8),
    ("bad-shape", entry(shape="2"), 8),
    ("bad-shape", entry(shape=[2**70]), 8),
    ("bad-shape", entry(shape=[1] * 9 + [2]), 8),
    ("bad-offsets", entry(data_offsets=[8, 0]), 8),
    ("bad-offsets", entry(data_offsets=[0, 8, 8]), 8),
    ("bad-offsets", entry(data_offsets=[-8, 0]), 8),
    ("size-mismatch", entry(shape=[3]), 8),
    ("size-mismatch", entry(shape=[2**40, 2**40]), 8),
    ("overlap", {"x": ONE, "y": ONE}, 8),
    ("overlap", {"x": ONE, "y": ONE | {"data_offsets": [4, 12]}}, 12),
    ("hole", {"x": ONE, "y": ONE | {"data_offsets": [12, 20]}}, 20),
    ("hole", entry(data_offsets=[4, 12]), 12),
    ("truncated", {"x": ONE}, 7),
    ("trailing-bytes", {"x": ONE}, 9),
    ("unsafe-tensor-name", {"<img src=x>": ONE}, 8),
    ("unsafe-tensor-name", {"a\x1b[31m\nb": ONE}, 8),
    ("unsafe-tensor-name", {"a" * 513: ONE}, 8),
    ("json-too-deep", entry(shape=[[[[[]]]]]), 8),
    ("too-many-tensors", {f"t{i}": ONE | {"shape": [0], "data_offsets": [0, 0]} for i in range(20_001)}, 0),
]


@pytest.mark.parametrize(("rule", "header", "n_data"), HEADER_ATTACKS)
def test_header_attacks_are_refused(path, rule, header, n_data):
    with refused(rule):
        read(path, framed(header, bytes(n_data)), cap=16 * CAP)


def test_duplicate_keys_are_refused(path):
    one = json.dumps(ONE).encode()
    with refused("duplicate-key", "'x'"):
        read(path, framed(b'{"x":' + one + b',"x":' + one + b"}", bytes(8)))
    with refused("duplicate-key", "'dtype'"):
        read(path, framed(b'{"x":{"dtype":"F32","dtype":"F16","shape":[2],"data_offsets":[0,8]}}', bytes(8)))


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("bad-header", b"[1]      "),
        ("bad-header", b' {"x": 1}'),
        ("bad-json", b'{"x": NaN}'),
        ("bad-json", b'{"x": 1'),
        ("bad-json", b'{"\xff": 1}'),
        ("bad-json", b'{"x": ' + b"1" * 5000 + b"}"),
        ("json-too-deep", b'{"x":' + b"[" * 100_000),
        ("json-too-large", b'{"x":[' + b"[]," * 200_000 + b"[]]}"),
    ],
)
def test_header_text_attacks_are_refused(path, rule, text):
    with refused(rule):
        read(path, framed(text, b""))


def test_the_header_length_is_not_believed(path):
    good = framed({"x": ONE}, bytes(8))
    with refused("header-too-long"):
        read(path, struct.pack("<Q", 2**63) + good[8:])
    with refused("header-too-long"):
        read(path, struct.pack("<Q", 16 * 1024**2 + 1) + good[8:])
    with refused("truncated"):
        read(path, struct.pack("<Q", len(good)) + good[8:])
    with refused("truncated"):
        read(path, b"\x02\0\0\0")
    with refused("truncated"):
        read(path, b"")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 99))
def test_every_truncation_is_refused(tmp_path_factory, n):
    blob = framed({"x": ONE}, bytes(8))
    with pytest.raises(AdapterRefusedError):
        read(tmp_path_factory.mktemp("t") / "x", blob[: n * len(blob) // 100])


def test_a_pickle_in_disguise(path):
    with refused("pickle-in-disguise"):
        read(path, pickle.dumps({"x": list(range(100))}, protocol=4))


def test_a_zip_in_disguise(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", b"x")
    with refused("zip-in-disguise"):
        read(path, path.read_bytes())


def test_a_polyglot_of_safetensors_and_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", b"x" * 100)
    data = path.read_bytes()
    data += bytes(-len(data) % 4)
    blob = framed({"x": {"dtype": "F32", "shape": [len(data) // 4], "data_offsets": [0, len(data)]}}, data)
    path.write_bytes(blob)
    assert zipfile.is_zipfile(path)
    with refused("zip-in-disguise"):
        read(path, blob)


def test_too_large_a_file(path):
    with refused("file-too-large"):
        read(path, framed({"x": ONE}, bytes(8)), cap=10)


def test_links_pipes_and_folders(tmp_path):
    real = tmp_path / "real"
    real.write_bytes(framed({"x": ONE}, bytes(8)))
    (tmp_path / "link").symlink_to(real)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, rule in (
        ("link", "symlink"),
        ("pipe", "not-a-regular-file"),
        ("folder", "not-a-regular-file"),
        ("none", "not-an-adapter"),
    ):
        with refused(rule, name):
            SafetensorsFile(tmp_path / name, max_bytes=CAP)


def test_a_file_that_changes_while_it_is_read(path):
    path.write_bytes(framed({"x": ONE}, bytes(8)))
    with SafetensorsFile(path, max_bytes=CAP) as file, refused("file-changed"):
        for _ in file.tensors():
            path.write_bytes(framed({"x": ONE}, encode(np.ones(2), "F32")) + b"more")


def test_a_file_that_shrinks_while_it_is_read(path):
    path.write_bytes(framed({"x": ONE}, bytes(8)))
    with SafetensorsFile(path, max_bytes=CAP) as file, refused("file-changed"):
        path.write_bytes(b"")
        list(file.tensors())
