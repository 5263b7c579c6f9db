"""What the firewall may know of the base: its tokenizer files and rows of its tensors, both trusted."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lorabench.adapters.safetensors_header import DTYPE_BYTES, TensorEntry
from lorabench.adapters.safetensors_reader import SafetensorsFile, as_float32
from lorabench.errors import AdapterRefusedError

_MAX_BASE_BYTES = 2**43
_TIED = {"lm_head.weight": "model.embed_tokens.weight"}


class BaseFacts(Protocol):
    """A base model to compare with; its files are trusted."""

    @property
    def tokenizer_folder(self) -> Path:
        """Folder of its tokenizer files."""

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of a tensor by its name in the base; None if it has none."""

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        """Return some rows of a matrix as float32, read now and kept nowhere."""


class BaseFolder:
    """A base in a folder of safetensors files, as transformers saves it.

    Headers are read once; rows are read when they are asked for. Tensors of number types that
    cannot be read (quantised ones) count as missing.

    Attributes:
        folder: The folder.
        tokenizer_folder: Where its tokenizer files are; by default the same.
    """

    def __init__(self, folder: Path, tokenizer_folder: Path | None = None) -> None:
        self.folder = folder
        self._tokenizer_folder = tokenizer_folder or folder

    @property
    def tokenizer_folder(self) -> Path:
        """Folder of its tokenizer files."""
        return self._tokenizer_folder

    @functools.cached_property
    def _where(self) -> dict[str, tuple[Path, int, TensorEntry]]:
        return {entry.name: (path, at, entry) for path, at, entry in self._entries() if entry.is_readable}

    def _entries(self) -> Iterator[tuple[Path, int, TensorEntry]]:
        """Give every tensor with its file and where its data starts there."""
        for path in sorted(self.folder.glob("*.safetensors")):
            real = Path(os.path.realpath(path))  # a hub's cache links to its blobs; the base is trusted
            try:
                with SafetensorsFile(real, max_bytes=_MAX_BASE_BYTES, on_problem=_ignored) as file:
                    at = file.data_start
                    yield from ((real, at + e.start, e) for e in file.entries if file.is_framed)
            except AdapterRefusedError:
                continue

    def _find(self, name: str) -> tuple[Path, int, TensorEntry] | None:
        return self._where.get(name) or self._where.get(_TIED.get(name, ""))

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of a tensor by its name in the base; None if it has none."""
        found = self._find(name)
        return None if found is None else found[2].shape

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        """Return some rows of a matrix as float32, read now and kept nowhere."""
        found = self._find(name)
        if found is None:
            raise KeyError(name)
        path, at, entry = found
        row_bytes = math.prod(entry.shape[1:]) * DTYPE_BYTES[entry.dtype]
        n_bytes = (stop - start) * row_bytes
        raw = np.fromfile(path, dtype=np.uint8, count=n_bytes, offset=at + start * row_bytes)
        return as_float32(raw, entry.dtype).reshape(stop - start, *entry.shape[1:])


def _ignored(error: AdapterRefusedError, where: str) -> None:
    """Base tensors of other number types are no problem; they are just not compared."""
