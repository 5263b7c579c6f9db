"""Adapter folders made by hand, so that each test can break exactly one thing."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lorabench.errors import AdapterRefusedError

Q = "model.layers.0.self_attn.q_proj"
V = "model.layers.1.self_attn.v_proj"

CONFIG: dict[str, Any] = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "base_model_name_or_path": "demo",
    "r": 2,
    "lora_alpha": 4,
    "target_modules": ["q_proj", "v_proj"],
}


def key(module: str, side: str) -> str:
    return f"base_model.model.{module}.lora_{side}.weight"


def weights(seed: int = 0, rank: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {key(Q, "A"): (rank, 6), key(Q, "B"): (5, rank), key(V, "A"): (rank, 6), key(V, "B"): (3, rank)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def magnitude_key(module: str) -> str:
    return f"base_model.model.{module}.lora_magnitude_vector"


def dora_weights(seed: int = 0) -> dict[str, np.ndarray]:
    """Return weights with magnitude vectors, one of their numbers zero and one negative."""
    vectors = {magnitude_key(Q): [2.5, 0, 1, -1, 0.5], magnitude_key(V): [1, 2, 3]}
    return weights(seed) | {name: np.array(v, dtype=np.float32) for name, v in vectors.items()}


def encode(array: np.ndarray, dtype: str) -> bytes:
    if dtype == "BF16":
        return (array.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return array.astype({"F16": "<f2", "F32": "<f4", "F64": "<f8"}[dtype]).tobytes()


def parts(tensors: dict[str, np.ndarray], dtype: str = "F32") -> tuple[dict[str, Any], bytes]:
    """Return header and data of a correct file."""
    header: dict[str, Any] = {}
    data = b""
    for name, array in tensors.items():
        raw = encode(array, dtype)
        header[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    return header, data


def framed(header: dict[str, Any] | bytes, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def make(
    folder: Path,
    *,
    tensors: dict[str, np.ndarray] | None = None,
    raw: bytes | None = None,
    dtype: str = "F32",
    config_bytes: bytes | None = None,
    files: dict[str, bytes] | None = None,
    **config: Any,
) -> Path:
    """Write an adapter's folder; keyword arguments change its config."""
    folder.mkdir(parents=True, exist_ok=True)
    blob = raw if raw is not None else framed(*parts(weights() if tensors is None else tensors, dtype))
    (folder / "adapter_model.safetensors").write_bytes(blob)
    (folder / "adapter_config.json").write_bytes(
        json.dumps(CONFIG | config).encode() if config_bytes is None else config_bytes
    )
    for name, content in (files or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


class refused:
    """Expect a refusal by a rule, with a problem and a remedy that are whole sentences."""

    def __init__(self, rule: str, mention: str = "") -> None:
        self.rule, self.mention = rule, mention
        self._raises = pytest.raises(AdapterRefusedError)

    def __enter__(self) -> None:
        self.info = self._raises.__enter__()

    def __exit__(self, *args: Any) -> bool:
        result = bool(self._raises.__exit__(*args))
        error = self.info.value
        assert error.rule == self.rule, str(error)
        assert self.mention in str(error)
        assert error.problem.endswith(".")
        assert error.remedy.endswith(".")
        assert not any(ord(c) < 32 for c in str(error))
        return result
