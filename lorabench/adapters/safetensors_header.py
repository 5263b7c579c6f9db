"""The header of a safetensors file: which tensors lie where, checked before anything is believed.

Layout: 8 bytes header length (little-endian), a JSON header, then the data. The header maps
each tensor name to its dtype, shape and data offsets; together the tensors must cover the
data exactly, without overlap or hole, so that no two readers can disagree about the content.
https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from lorabench.adapters.problems import OnProblem
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


class HeaderReader:
    """Checks one header.

    Attributes:
        is_framed: Whether the tensors cover the data exactly, so that it can be read.
    """

    def __init__(self, file_name: str, on_problem: OnProblem) -> None:
        """Prepare for a header.

        Args:
            file_name: Name of its file, for sentences.
            on_problem: Is told each problem with single tensors or their places.
        """
        self._file_name = file_name
        self._on_problem = on_problem
        self.is_framed = True

    def read(self, header: bytes, n_data: int) -> tuple[TensorEntry, ...]:
        """Return the tensors in the order of their data.

        Args:
            header: Its bytes.
            n_data: How many bytes of data follow it.

        Raises:
            AdapterRefusedError: It is no header at all.
        """
        if header[:1] != b"{":
            raise self.refused("bad-header", "has a header that does not start with '{'")
        what = f"The header of {shown(self._file_name)}"
        parsed = parse_object(header, what=what, max_depth=4, max_tokens=500_000)
        metadata = parsed.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
            raise self.refused("bad-header", "has __metadata__ that is not a table of texts")
        if len(parsed) > MAX_TENSORS:
            raise self.refused("too-many-tensors", f"has {len(parsed):,} tensors; at most {MAX_TENSORS:,}")
        entries = []
        for name, value in parsed.items():
            try:
                entries.append(self._entry(name, value))
            except AdapterRefusedError as error:
                self.is_framed = False  # where a tensor lies is unknown
                self._on_problem(error, name)
        entries.sort(key=lambda e: (e.start, e.end))
        try:
            self._check_coverage(entries, n_data)
        except AdapterRefusedError as error:
            if self.is_framed:  # otherwise it only repeats what was said
                self.is_framed = False
                self._on_problem(error, self._file_name)
        return tuple(entries)

    def _entry(self, name: str, value: Any) -> TensorEntry:
        if len(name) > MAX_NAME_CHARS or not _SAFE_NAME.fullmatch(name):
            problem = f"has a tensor with the unusual or overlong name '{shown(name)}'"
            self._on_problem(self.refused("unsafe-tensor-name", problem), name)
        where = f"describes the tensor '{shown(name)}'"
        if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
            raise self.refused("bad-header", f"{where} by other fields than dtype, shape and data_offsets")
        dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
        if not isinstance(dtype, str) or dtype not in DTYPE_BYTES:
            problem = f"The tensor '{shown(name)}' of {shown(self._file_name)} is stored as {shown(dtype)}."
            remedy = f"Save the adapter with one of {', '.join(DTYPE_BYTES)}."
            self._on_problem(AdapterRefusedError("unsupported-dtype", problem, remedy), name)
        if not _are_sizes(shape) or len(shape) > 8:
            raise self.refused("bad-shape", f"{where} with the shape {shown(shape)}")
        if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
            raise self.refused("bad-offsets", f"{where} with the offsets {shown(offsets)}")
        n_bytes = (DTYPE_BYTES | _OTHER_BYTES).get(str(dtype))
        if n_bytes is not None and n_bytes * math.prod(shape) != offsets[1] - offsets[0]:
            raise self.refused(
                "size-mismatch",
                f"{where} with a shape that needs another number of bytes than its offsets give",
            )
        return TensorEntry(name=name, dtype=str(dtype), shape=tuple(shape), start=offsets[0], end=offsets[1])

    def _check_coverage(self, entries: list[TensorEntry], n_data: int) -> None:
        at = 0
        for entry in entries:
            if entry.start != at:
                rule = "overlap" if entry.start < at else "hole"
                raise self.refused(
                    rule,
                    f"has {'an overlap' if rule == 'overlap' else 'a hole'} before '{shown(entry.name)}'",
                )
            at = entry.end
        if at > n_data:
            raise self.refused("truncated", f"should have {at:,} bytes of data and has {n_data:,}")
        if at < n_data:
            raise self.refused("trailing-bytes", f"has {n_data - at:,} bytes that belong to no tensor")

    def refused(self, rule: str, problem: str) -> AdapterRefusedError:
        """Return the error for a file that cannot be read."""
        return AdapterRefusedError(rule, f"The file {shown(self._file_name)} {problem}.", _REMEDY)


def _are_sizes(value: Any) -> bool:
    """Whether a JSON value is a list of whole numbers from 0 to 2**48; True and 1.0 are not numbers here."""
    return isinstance(value, list) and all(type(v) is int and 0 <= v <= 2**48 for v in value)
