from __future__ import annotations

import errno
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from adapter_files import Q, V, refused
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError

from lorabench.adapters import files as adapter_files_module
from lorabench.adapters import read_adapter, write_adapter
from lorabench.adapters.files import safetensors_errors
from lorabench.errors import InputError, StorageError


def modules(seed: int = 0, rank: int = 2) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return {name: (rng.normal(size=(rank, 6)), rng.normal(size=(5, rank))) for name in (V, Q)}


def write(folder: Path, **changes):
    values = {
        "modules": modules(),
        "rank": 2,
        "alpha": 4.0,
        "use_rslora": True,
        "target_modules": ["v_proj", "q_proj"],
        "base_model_name": "demo",
        "lorabench_json": {"base_fingerprint": "abc", "seed": 0},
        "card": "# Ä card\n",
    }
    return write_adapter(folder, **(values | changes))


@pytest.mark.parametrize("dtype", ["F16", "F32"])
def test_write_then_read_is_identity(tmp_path, dtype):
    written = write(tmp_path / "a", dtype=dtype)
    checked = read_adapter(tmp_path / "a")
    assert checked.facts == written.facts
    assert checked.facts.dtype == dtype
    assert checked.facts.use_rslora
    assert checked.facts.claims.lorabench == {"base_fingerprint": "abc", "seed": 0}
    assert checked.facts.claims.card == "# Ä card\n"
    assert checked.facts.claims.notes == ()
    stored = np.float16 if dtype == "F16" else np.float32
    for module in checked.modules:
        a, b = modules()[module.name]
        np.testing.assert_array_equal(module.a, a.astype(stored).astype(np.float32))
        np.testing.assert_array_equal(module.b, b.astype(stored).astype(np.float32))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 5), st.floats(0.5, 64))
def test_round_trip_keeps_the_id(tmp_path_factory, seed, rank, alpha):
    folder = tmp_path_factory.mktemp("w")
    first = write(folder / "a", modules=modules(seed, rank), rank=rank, alpha=alpha)
    again = {m.name: (m.a, m.b) for m in first.modules}
    second = write(folder / "b", modules=again, rank=rank, alpha=alpha, dtype="F32")
    assert first.facts.adapter_id == second.facts.adapter_id


@pytest.mark.parametrize("dtype", ["F16", "F32"])
def test_magnitudes_are_written_as_dora(tmp_path, dtype):
    vectors = {Q: np.array([1.5, -2, 0, 1, 1]), V: np.arange(1.0, 6.0)}
    written = write(tmp_path / "a", magnitudes=vectors, dtype=dtype)
    assert json.loads((tmp_path / "a" / "adapter_config.json").read_text())["use_dora"] is True
    for module in read_adapter(tmp_path / "a").modules:
        np.testing.assert_array_equal(module.magnitude, vectors[module.name])
    assert written.facts.adapter_id != write(tmp_path / "b", dtype=dtype).facts.adapter_id
    with refused("magnitude-missing"):
        write(tmp_path / "c", magnitudes={Q: vectors[Q]})
    with refused("unpaired-tensor"):
        write(tmp_path / "c", magnitudes=vectors | {"m.other": np.ones(3)})


def test_equal_arguments_give_equal_bytes(tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b", modules=dict(reversed(modules().items())))
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_the_config_is_plain_lora(tmp_path):
    write(tmp_path / "a", layers_to_transform=[3, 1])
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert (config["peft_type"], config["task_type"], config["r"], config["lora_alpha"]) == (
        "LORA",
        "CAUSAL_LM",
        2,
        4,
    )
    assert config["target_modules"] == ["q_proj", "v_proj"]
    assert config["layers_to_transform"] == [1, 3]
    assert config["use_dora"] is False


def test_nothing_is_left_of_a_refused_adapter(tmp_path):
    zero = {Q: (np.ones((2, 6)), np.zeros((5, 2)))}
    with refused("zero-adapter"):
        write(tmp_path / "a", modules=zero)
    with refused("rank-mismatch"):
        write(tmp_path / "a", rank=3)
    with refused("non-finite-weight"):
        write(tmp_path / "a", modules={Q: (np.full((2, 6), np.nan), np.ones((5, 2)))})
    with pytest.raises(InputError, match="too large for F16"):
        write(tmp_path / "a", modules={Q: (np.full((2, 6), 1e6), np.ones((5, 2)))})
    with pytest.raises(InputError, match=r"lorabench.json was left out"):
        write(tmp_path / "a", lorabench_json={"x": "y" * 5000})
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_never_overwritten(tmp_path):
    write(tmp_path / "a")
    before = (tmp_path / "a" / "adapter_model.safetensors").read_bytes()
    with pytest.raises(InputError) as caught:
        write(tmp_path / "a", modules=modules(1))
    assert caught.value.rule == "folder-exists"
    assert (tmp_path / "a" / "adapter_model.safetensors").read_bytes() == before


@pytest.mark.parametrize(("code", "rule"), [(errno.ENOSPC, "disk-full"), (errno.EACCES, "cannot-write")])
def test_a_failing_disk_leaves_nothing(tmp_path, monkeypatch, code, rule):
    def fail(*_: object) -> None:
        raise OSError(code, "no")

    monkeypatch.setattr(adapter_files_module.os, "fsync", fail)
    with pytest.raises(StorageError) as caught:
        write(tmp_path / "a")
    assert caught.value.rule == rule
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_weights_that_cannot_be_written_are_said_and_leave_nothing(tmp_path):
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256, limits[1]))
    try:
        with pytest.raises(StorageError) as caught:
            write(tmp_path / "a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.rule == "cannot-write"
    assert list(tmp_path.iterdir()) == []


def test_the_writers_own_error_keeps_its_number():
    with pytest.raises(OSError, match="space") as caught, safetensors_errors():
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert caught.value.errno == errno.ENOSPC
