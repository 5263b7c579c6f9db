"""A pretend package with tiny weights inside, so that no test here needs a network or torch."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from lorabench.models.registry import BaseSpec

FILES = {
    "model.safetensors": save(
        {"w": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.ones(2, np.float16)}
    ),
    "config.json": json.dumps({"model_type": "bert"}).encode(),
    "vocab.txt": b"[UNK]\nhello\n",
}


@dataclass(frozen=True)
class FakeWheel:
    spec: BaseSpec
    path: Path


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def build_wheel(path: Path, contents: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(f"fake/{name}", data)
        archive.writestr("fake/__init__.py", "raise RuntimeError('a wheel is never imported')")
