"""A bounded reader of safetensors files: nothing is believed before it is checked.

Layout: 8 bytes header length (little-endian), a JSON header, then the data. The header maps
each tensor name to its dtype, shape and data offsets; together the tensors must cover the
data exactly, without overlap or hole, so that no two readers can disagree about the content.
https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lorabench.adapters.files import CHUNK, file_changed, is_unchanged, open_regular
from lorabench.adapters.problems import OnProblem, raised
from lorabench.adapters.strict_json import parse_object
from lorabench.adapters.text import shown
from lorabench.errors import AdapterRefusedError

MAX_HEADER_BYTES = 16 * 1024**2
MAX_TENSORS = 20_000
MAX_NAME_CHARS = 512
DTYPE_BYTES = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8}
# Of the format, but never of an adapter that can be used: their framing is checked all the same.
_OTHER_BYTES = {"BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "F8_E8M0": 1, "U16": 2, "I16": 2}
_OTHER_BYTES |= {"U32": 4, "I32": 4, "U64": 8, "I64": 8, "C64": 8}
_SAFE_NAME = re.compile(r"[A-Za-z0-9_.\-]+")
_REMEDY = "Export the adapter again with PEFT's save_pretrained, or do not use it."


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorEntry:
    """One tensor as the header describes it, checked.

    Attributes:
        name: Its name.
        dtype: "F16", "BF16", "F32" or "F64"; another one only where problems are gathered.
        shape: Its dimensions.
        start: First byte, counted from the start of the data.
        end: One past its last byte.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def is_readable(self) -> bool:
        """Whether the numbers are of a type that can be read."""
        return self.dtype in DTYPE_BYTES

    @property
    def size(self) -> int:
        """How many numbers it holds; 0 if they cannot be read."""
        return (self.end - self.start) // DTYPE_BYTES[self.dtype] if self.is_readable else 0


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
            self._check_zip()
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
        if self.n_bytes < 10:  # 8 bytes of length and at least "{}"
            raise self._refused("truncated", f"has only {self.n_bytes} bytes")
        prefix = bytearray(8)
        self._read_into(memoryview(prefix))
        (length,) = struct.unpack("<Q", prefix)
        if length > min(MAX_HEADER_BYTES, self.n_bytes - 8):
            if prefix[0] == 0x80 and 2 <= prefix[1] <= 5:
                raise AdapterRefusedError(
                    "pickle-in-disguise",
                    f"The file {shown(self._path.name)} is a Python pickle under a safetensors name. "
                    "Opening a pickle can run any program.",
                    "Do not use it; ask its author for real safetensors.",
                )
            rule = "header-too-long" if length > MAX_HEADER_BYTES else "truncated"
            raise self._refused(
                rule, f"announces a header of {length:,} bytes and has {self.n_bytes:,} bytes in all"
            )
        header = bytearray(length)
        self._read_into(memoryview(header))
        if header[:1] != b"{":
            raise self._refused("bad-header", "has a header that does not start with '{'")
        what = f"The header of {shown(self._path.name)}"
        parsed = parse_object(bytes(header), what=what, max_depth=4, max_tokens=500_000)
        metadata = parsed.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
            raise self._refused("bad-header", "has __metadata__ that is not a table of texts")
        if len(parsed) > MAX_TENSORS:
            raise self._refused("too-many-tensors", f"has {len(parsed):,} tensors; at most {MAX_TENSORS:,}")
        entries = []
        for name, value in parsed.items():
            try:
                entries.append(self._entry(name, value))
            except AdapterRefusedError as error:
                self.is_framed = False  # where a tensor lies is unknown
                self._on_problem(error, name)
        entries.sort(key=lambda e: (e.start, e.end))
        self.data_start = 8 + length
        try:
            self._check_coverage(entries, self.n_bytes - self.data_start)
        except AdapterRefusedError as error:
            if self.is_framed:  # otherwise it only repeats what was said
                self.is_framed = False
                self._on_problem(error, self._path.name)
        return tuple(entries)

    def _entry(self, name: str, value: Any) -> TensorEntry:
        if len(name) > MAX_NAME_CHARS or not _SAFE_NAME.fullmatch(name):
            problem = f"has a tensor with the unusual or overlong name '{shown(name)}'"
            self._on_problem(self._refused("unsafe-tensor-name", problem), name)
        where = f"describes the tensor '{shown(name)}'"
        if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
            raise self._refused("bad-header", f"{where} by other fields than dtype, shape and data_offsets")
        dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
        if not isinstance(dtype, str) or dtype not in DTYPE_BYTES:
            problem = f"The tensor '{shown(name)}' of {shown(self._path.name)} is stored as {shown(dtype)}."
            remedy = f"Save the adapter with one of {', '.join(DTYPE_BYTES)}."
            self._on_problem(AdapterRefusedError("unsupported-dtype", problem, remedy), name)
        if not _are_sizes(shape) or len(shape) > 8:
            raise self._refused("bad-shape", f"{where} with the shape {shown(shape)}")
        if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
            raise self._refused("bad-offsets", f"{where} with the offsets {shown(offsets)}")
        n_bytes = (DTYPE_BYTES | _OTHER_BYTES).get(str(dtype))
        if n_bytes is not None and n_bytes * math.prod(shape) != offsets[1] - offsets[0]:
            raise self._refused(
                "size-mismatch",
                f"{where} with a shape that needs another number of bytes than its offsets give",
            )
        return TensorEntry(name=name, dtype=str(dtype), shape=tuple(shape), start=offsets[0], end=offsets[1])

    def _check_coverage(self, entries: list[TensorEntry], n_data: int) -> None:
        at = 0
        for entry in entries:
            if entry.start != at:
                rule = "overlap" if entry.start < at else "hole"
                raise self._refused(
                    rule,
                    f"has {'an overlap' if rule == 'overlap' else 'a hole'} before '{shown(entry.name)}'",
                )
            at = entry.end
        if at > n_data:
            raise self._refused("truncated", f"should have {at:,} bytes of data and has {n_data:,}")
        if at < n_data:
            raise self._refused("trailing-bytes", f"has {n_data - at:,} bytes that belong to no tensor")

    def _check_zip(self) -> None:
        """Report a file that a zip reader would also open: its end decides, whatever its start says."""
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

    def _refused(self, rule: str, problem: str) -> AdapterRefusedError:
        return AdapterRefusedError(rule, f"The file {shown(self._path.name)} {problem}.", _REMEDY)


def holds_zip(file: io.FileIO, n_bytes: int) -> bool:
    """Return whether a zip reader would find an archive at the end of an open file."""
    n_tail = min(n_bytes, 22 + 65_535)
    file.seek(n_bytes - n_tail)
    tail = file.read(n_tail) or b""
    at = tail.find(b"PK\x05\x06")
    while at >= 0:
        if tail[max(0, at - 20) : at].startswith(b"PK\x06\x07"):  # zip64 keeps its sizes elsewhere
            return True
        if at + 22 <= len(tail):
            (n_directory,) = struct.unpack_from("<I", tail, at + 12)
            start = n_bytes - len(tail) + at - n_directory
            if start >= 0:
                file.seek(start)
                if file.read(4) in (b"PK\x01\x02", b"PK\x05\x06"):
                    return True
        at = tail.find(b"PK\x05\x06", at + 1)
    return False


def _are_sizes(value: Any) -> bool:
    """Whether a JSON value is a list of whole numbers from 0 to 2**48; True and 1.0 are not numbers here."""
    return isinstance(value, list) and all(type(v) is int and 0 <= v <= 2**48 for v in value)


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
