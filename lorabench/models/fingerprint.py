"""Digests of model folders: equal fingerprints mean equal weights, however they were packed."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorabench.errors import BaseModelError

_BLOCK = 4 * 1024**2
_MAX_HEADER = 100 * 1024**2  # the safetensors format's own limit


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tensor:
    path: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    n_bytes: int


def fingerprint_folder(folder: Path) -> str:
    """Return the sha256 over all tensors of a folder's safetensors files.

    What is hashed is, for each tensor in order of its name, one line of JSON with name, dtype
    and shape, then its bytes. Metadata, file names and sharding do not matter. The files are
    streamed; memory use stays at a few MB.

    Args:
        folder: Folder with one or more `*.safetensors` files at its top level.

    Returns:
        64 hexadecimal digits.

    Raises:
        BaseModelError: If there is no such file, a header is malformed, a tensor is cut short,
            or two files hold a tensor of the same name.
    """
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise _unreadable(folder, "it has no .safetensors file")
    tensors: dict[str, _Tensor] = {}
    for path in paths:
        for name, tensor in _read_header(path).items():
            if name in tensors:
                raise _unreadable(path, f"{tensors[name].path.name} also holds its tensor {name!r}")
            tensors[name] = tensor
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        line = json.dumps([name, tensor.dtype, list(tensor.shape)], ensure_ascii=True)
        digest.update(line.encode("ascii") + b"\n")
        _update(digest, tensor, name)
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """Return the sha256 of one file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _update(digest: Any, tensor: _Tensor, name: str) -> None:
    left = tensor.n_bytes
    with tensor.path.open("rb") as file:
        file.seek(tensor.start)
        while left:
            block = file.read(min(left, _BLOCK))
            if not block:
                raise _unreadable(tensor.path, f"its tensor {name!r} is cut short")
            digest.update(block)
            left -= len(block)


def _read_header(path: Path) -> dict[str, _Tensor]:
    size = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(8)
        if len(prefix) < 8:
            raise _unreadable(path, "it is cut short")
        (length,) = struct.unpack("<Q", prefix)
        if length > min(_MAX_HEADER, size - 8):
            raise _unreadable(path, "its header is longer than the file")
        try:
            header = json.loads(file.read(length), object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise _unreadable(path, f"its header is not valid ({type(error).__name__})") from error
    if not isinstance(header, dict):
        raise _unreadable(path, "its header is not a JSON object")
    data_start = 8 + length
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            begin, end = entry["data_offsets"]
            dtype, shape = entry["dtype"], tuple(entry["shape"])
        except (TypeError, KeyError, ValueError) as error:
            raise _unreadable(path, f"the header entry {name!r} is malformed") from error
        numbers_ok = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
        if not (numbers_ok and isinstance(dtype, str) and begin <= end <= size - data_start):
            raise _unreadable(path, f"the tensor {name!r} lies outside the file")
        tensors[name] = _Tensor(
            path=path, dtype=dtype, shape=shape, start=data_start + begin, n_bytes=end - begin
        )
    return tensors


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _unreadable(path: Path, why: str) -> BaseModelError:
    return BaseModelError(
        "base-unreadable",
        f"{path.name!r} cannot be used as base model weights: {why}.",
        "Remove this base and pull it again, or choose another folder.",
    )
