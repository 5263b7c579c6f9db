"""A bounded reader of safetensors files: the header is checked before any data, each byte hashed once."""

from __future__ import annotations

import hashlib
import io
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from lorabench.adapters.files import CHUNK, file_changed, is_unchanged, open_regular
from lorabench.adapters.problems import OnProblem, raised
from lorabench.adapters.safetensors_header import DTYPE_BYTES, MAX_HEADER_BYTES, HeaderReader, TensorEntry
from lorabench.adapters.signatures import HEAD_BYTES, holds_zip, is_pickle
from lorabench.adapters.text import shown
from lorabench.errors import AdapterRefusedError


class SafetensorsFile:
    """An open safetensors file whose header has been checked.

    Opening reads the header only. `tensors()` then reads the data once, in file order, and
    afterwards `sha256` names exactly the bytes that were parsed. Use it as a context manager.

    Attributes:
        entries: The tensors in the order of their data.
        n_bytes: Size of the whole file.
        is_framed: Whether the entries cover the data exactly, so that it can be read.
        data_start: Where the data starts in the file.
    """

    def __init__(self, path: Path, *, max_bytes: int, on_problem: OnProblem = raised) -> None:
        """Open a file and check its header.

        Args:
            path: The file; neither a link nor a pipe.
            max_bytes: Largest accepted size.
            on_problem: Is told each problem with single tensors, and a zip archive inside.

        Raises:
            AdapterRefusedError: With the rule of the check that failed.
        """
        self._path = path
        self._on_problem = on_problem
        self.is_framed = True
        fd, self._state = open_regular(path, max_bytes=max_bytes)
        self._file: io.FileIO = io.FileIO(fd, "rb", closefd=True)
        self._hash = hashlib.sha256()
        self._sha256: str | None = None
        self._was_read = False
        self.n_bytes = self._state.st_size
        try:
            self._check_disguise()
            self.entries = self._read_header()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> SafetensorsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def sha256(self) -> str:
        """sha256 (hex) of the file's bytes as parsed; known once `tensors()` was read to its end."""
        if self._sha256 is None:
            raise RuntimeError("read tensors() to its end first")
        return self._sha256

    def tensors(self) -> Iterator[tuple[TensorEntry, NDArray[np.float32]]]:
        """Read every tensor as float32, one at a time, in file order; can be called once.

        Values of F64 that do not fit float32 become infinite.

        Raises:
            AdapterRefusedError: Rule "file-changed" if the file was touched meanwhile.
        """
        for entry, _, raw in self.pieces(lambda entry: max(entry.size, 1)):
            yield entry, as_float32(raw, entry.dtype).reshape(entry.shape)

    def pieces(
        self, n_numbers: Callable[[TensorEntry], int]
    ) -> Iterator[tuple[TensorEntry, int, NDArray[np.uint8]]]:
        """Read the data once, in file order, each tensor in pieces; can be called once.

        Args:
            n_numbers: How many numbers of a tensor one piece holds.

        Yields:
            The tensor, the index of the piece's first number, and its bytes; at least one piece for
            each tensor. Tensors that cannot be read as numbers come in pieces of `CHUNK` bytes.

        Raises:
            AdapterRefusedError: Rule "file-changed" if the file was touched meanwhile.
        """
        if self._was_read or not self.is_framed:
            raise RuntimeError("the data can be read once, and only if the tensors cover it")
        self._was_read = True
        for entry in self.entries:
            width = DTYPE_BYTES.get(entry.dtype, 1)
            n_piece = width * n_numbers(entry) if entry.is_readable else CHUNK
            for at in range(0, max(entry.end - entry.start, 1), n_piece):
                raw = np.empty(min(n_piece, entry.end - entry.start - at), dtype=np.uint8)
                self._read_into(raw.data)
                yield entry, at // width, raw
        self.check_unchanged()
        self._sha256 = self._hash.hexdigest()

    def read_again(self, entry: TensorEntry, first: int, n_numbers: int) -> NDArray[np.uint8]:
        """Return the bytes of some numbers of a tensor once more, wherever they lie.

        Raises:
            AdapterRefusedError: Rule "file-changed": they are not there any more.
        """
        width = DTYPE_BYTES[entry.dtype]
        raw = np.empty(n_numbers * width, dtype=np.uint8)
        here, at = self._file.tell(), 0
        self._file.seek(self.data_start + entry.start + first * width)
        while at < raw.size:
            n = self._file.readinto(raw.data[at:])
            if not n:
                raise file_changed(self._path)
            at += n
        self._file.seek(here)
        return raw

    def check_unchanged(self) -> None:
        """Refuse a file that was touched since it was opened.

        Raises:
            AdapterRefusedError: Rule "file-changed".
        """
        if not is_unchanged(self._state, os.fstat(self._file.fileno())):
            raise file_changed(self._path)

    def _read_into(self, view: memoryview) -> None:
        at = 0
        while at < len(view):
            n = self._file.readinto(view[at : at + CHUNK])
            if not n:
                raise file_changed(self._path)
            self._hash.update(view[at : at + n])
            at += n

    def _read_header(self) -> tuple[TensorEntry, ...]:
        reader = HeaderReader(self._path.name, self._on_problem)
        if self.n_bytes < 10:  # 8 bytes of length and at least "{}"
            raise reader.refused("truncated", f"has only {self.n_bytes} bytes")
        prefix = bytearray(8)
        self._read_into(memoryview(prefix))
        (length,) = struct.unpack("<Q", prefix)
        if length > min(MAX_HEADER_BYTES, self.n_bytes - 8):
            if prefix[0] == 0x80 and 2 <= prefix[1] <= 5:
                raise self._pickle()
            rule = "header-too-long" if length > MAX_HEADER_BYTES else "truncated"
            raise reader.refused(
                rule, f"announces a header of {length:,} bytes and has {self.n_bytes:,} bytes in all"
            )
        header = bytearray(length)
        self._read_into(memoryview(header))
        self.data_start = 8 + length
        entries = reader.read(bytes(header), self.n_bytes - self.data_start)
        self.is_framed = reader.is_framed
        return entries

    def _check_disguise(self) -> None:
        """Report a file that pickle or a zip reader would also open, whatever its header says."""
        if is_pickle(self._file.read(HEAD_BYTES) or b""):
            self._on_problem(self._pickle(), self._path.name)
        if holds_zip(self._file, self.n_bytes):
            self._on_problem(
                AdapterRefusedError(
                    "zip-in-disguise",
                    f"The file {shown(self._path.name)} is also a zip archive (torch.save writes "
                    "such files), so two programs may read it differently.",
                    "Do not use it; ask its author for plain safetensors.",
                ),
                self._path.name,
            )
        self._file.seek(0)

    def _pickle(self) -> AdapterRefusedError:
        return AdapterRefusedError(
            "pickle-in-disguise",
            f"The file {shown(self._path.name)} is a Python pickle under a safetensors name. "
            "Opening a pickle can run any program.",
            "Do not use it; ask its author for real safetensors.",
        )


def as_float32(raw: NDArray[np.uint8], dtype: str) -> NDArray[np.float32]:
    """Return stored numbers as float32; those of F64 that do not fit become infinite.

    Args:
        raw: Their bytes, little-endian.
        dtype: "F16", "BF16", "F32" or "F64".
    """
    if dtype == "F32":
        return raw.view("<f4").astype(np.float32, copy=False)
    if dtype == "BF16":  # the upper half of a float32
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    with np.errstate(all="ignore"):  # F64 may overflow; the caller checks for finite values
        return raw.view("<f2" if dtype == "F16" else "<f8").astype(np.float32)
