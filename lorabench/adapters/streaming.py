"""One pass over a weight file: every number is looked at, hashed, measured and dropped.

No tensor is ever whole in float64, and none larger than `WHOLE_BYTES` is whole at all: B comes in
blocks of rows; A, whose blocks of columns lie scattered, is read a second time where it is larger.
Read-agains are guarded like the first pass: the file must be untouched at the end (fstat).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lorabench.adapters.cores import (
    BLOCK_NUMBERS,
    add_rows,
    core_spectrum,
    factor_spectrum,
    gram,
    rows_per_block,
)
from lorabench.adapters.measure import id_prefix, id_scale, spectrum_of
from lorabench.adapters.modules import MAGNITUDE, Pairs
from lorabench.adapters.safetensors_header import DTYPE_BYTES, TensorEntry
from lorabench.adapters.safetensors_reader import SafetensorsFile, as_float32
from lorabench.errors import CancelledError
from lorabench.results.weights import ModuleSpectrum

WHOLE_BYTES = 8 * 1024**2
MAX_PENDING_BYTES = 128 * 1024**2
"""Most memory of cores that wait for their partner; files of PEFT keep A and B side by side."""
_FACTOR_ROWS = 1024  # QR of taller blocks is slower
_PROGRESS_BYTES = 8 * 1024**2
_SMALLEST_NORMAL = 0x007F_FFFF  # bits of the largest subnormal float32

Rows = Callable[[TensorEntry, int, NDArray[np.float32]], None]
"""Takes some whole rows of a tensor and the index of the first."""


@dataclass(slots=True)
class TensorStats:
    """What the numbers of one tensor are like.

    Attributes:
        n: How many there are.
        n_bad: Of those, NaN or infinite (as float32).
        n_subnormal: Of those, not zero but below the smallest normal float32.
        largest: Largest size of a number; infinity if there is a bad one.
    """

    n: int = 0
    n_bad: int = 0
    n_subnormal: int = 0
    largest: float = 0.0

    def add(self, block: NDArray[np.float32]) -> None:
        """Look at some more numbers."""
        if not block.size:
            return
        self.n += block.size
        largest = max(abs(float(block.max())), abs(float(block.min())))
        if not math.isfinite(largest):
            self.n_bad += int(block.size - np.isfinite(block).sum())
            largest = math.inf
        self.largest = max(self.largest, largest)
        bits = block.view(np.uint32) & np.uint32(0x7FFF_FFFF)
        bits -= np.uint32(1)  # zero wraps around to the largest number
        self.n_subnormal += int((bits < _SMALLEST_NORMAL).sum())


@dataclass(slots=True, kw_only=True)
class Measured:
    """What one pass gave.

    Attributes:
        stats: Tensor name -> what its numbers are like.
        spectra: Measured modules, by name.
        sha256: Of the file's bytes as parsed.
        adapter_id: The id of the adapter; None if it was not asked for or a tensor is not finite.
        is_pending_full: Whether too many cores waited for their partner, so that spectra are missing.
    """

    stats: dict[str, TensorStats] = field(default_factory=dict)
    spectra: dict[str, ModuleSpectrum] = field(default_factory=dict)
    sha256: str = ""
    adapter_id: str | None = None
    is_pending_full: bool = False


def columns(
    file: SafetensorsFile, entry: TensorEntry, n_columns: int, raw: NDArray[np.uint8] | None = None
) -> Iterator[NDArray[np.float32]]:
    """Give the columns of a matrix as rows, in blocks.

    Args:
        file: The open file.
        entry: The matrix, of shape (r, in).
        n_columns: How many columns one block has.
        raw: Its bytes; None: they are read again, row by row.
    """
    rank, n_in = entry.shape
    width = DTYPE_BYTES[entry.dtype]
    whole = None if raw is None else raw.reshape(rank, n_in * width)
    for at in range(0, n_in, n_columns):
        n = min(n_columns, n_in - at)
        if whole is not None:
            part = np.ascontiguousarray(whole[:, at * width : (at + n) * width])
        else:
            part = np.stack([file.read_again(entry, i * n_in + at, n) for i in range(rank)])
        yield as_float32(part.reshape(-1), entry.dtype).reshape(rank, n).T


class WeightStream:
    """Reads a checked file once and measures its modules.

    Args:
        file: Its header has been checked and covers the data.
        pairs: The modules.
        scales: Their scales; a module without one is not measured.
        with_id: Whether the adapter's id is asked for; then every module must have a scale.
        rows: Tensor name -> who wants its rows.
        on_progress: Is told bytes done and bytes in all.
        cancelled: Whether to stop.
    """

    def __init__(
        self,
        file: SafetensorsFile,
        pairs: Pairs,
        scales: dict[str, float],
        *,
        with_id: bool,
        rows: Mapping[str, Rows],
        on_progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self._file = file
        self._pairs = pairs
        self._scales = scales
        self._rows = rows
        self._on_progress = on_progress
        self._cancelled = cancelled
        self._sides = {entry.name: (m, s) for m, pair in pairs.items() for s, entry in pair.items()}
        self._pending: dict[str, dict[str, NDArray[np.float64]]] = {}
        self._n_pending = 0
        self._id = hashlib.sha256()
        self._with_id = with_id
        self._id_in_pass = with_id and [e.name for e in file.entries] == [e.name for e in self._id_order()]
        self._done = self._told = 0
        self._total = file.n_bytes
        if with_id and not self._id_in_pass:
            self._total += sum(e.end - e.start for e in file.entries)
        self._found = Measured()

    def run(self) -> Measured:
        """Read the file to its end.

        Raises:
            AdapterRefusedError: Rule "file-changed".
            CancelledError: `cancelled` said so.
        """
        current: TensorEntry | None = None
        for entry, first, raw in self._file.pieces(self._piece_numbers):
            if entry is not current:
                current = entry
                self._found.stats[entry.name] = TensorStats()
            if entry.is_readable:
                self._piece(entry, first, raw)
            self._advance(raw.size)
        self._found.sha256 = self._file.sha256
        if self._with_id and not any(s.n_bad for s in self._found.stats.values()):
            if not self._id_in_pass:
                self._hash_again()
            self._found.adapter_id = self._id.hexdigest()
        self._file.check_unchanged()
        if self._on_progress is not None:
            self._on_progress(self._total, self._total)
        return self._found

    def _advance(self, n_bytes: int) -> None:
        if self._cancelled is not None and self._cancelled():
            raise CancelledError
        self._done += n_bytes
        if self._on_progress is not None and self._done - self._told >= _PROGRESS_BYTES:
            self._told = self._done
            self._on_progress(min(self._done, self._total), self._total)

    def _piece_numbers(self, entry: TensorEntry) -> int:
        """Return how many numbers to read at once: whole rows where rows are asked for."""
        _, side = self._sides.get(entry.name, ("", ""))
        if side == "A" and entry.end - entry.start <= WHOLE_BYTES:
            return max(entry.size, 1)
        if (side == "B" or entry.name in self._rows) and len(entry.shape) == 2:
            return rows_per_block(entry.shape[1]) * max(entry.shape[1], 1)
        return BLOCK_NUMBERS

    def _piece(self, entry: TensorEntry, first: int, raw: NDArray[np.uint8]) -> None:
        width = DTYPE_BYTES[entry.dtype]
        is_last = first + raw.size // width >= entry.size
        module, side = self._sides.get(entry.name, ("", ""))
        stats = self._found.stats[entry.name]
        step = rows_per_block(entry.shape[-1]) * entry.shape[-1] if side == "B" else BLOCK_NUMBERS
        for at in range(0, raw.size, max(step, 1) * width):
            block = as_float32(raw[at : at + step * width], entry.dtype)
            stats.add(block)
            if self._id_in_pass:
                self._hash(entry, first + at // width, block)
            if side == "B" and not stats.n_bad and self._is_measured(module):
                self._add_core(module, "B", block.reshape(-1, entry.shape[1]))
        if entry.name in self._rows and not stats.n_bad and len(entry.shape) == 2 and raw.size:
            block = as_float32(raw, entry.dtype).reshape(-1, entry.shape[1])
            self._rows[entry.name](entry, first // entry.shape[1], block)
        if is_last and side in ("A", "B") and self._is_measured(module):
            if side == "A" and not stats.n_bad:
                n_columns = rows_per_block(entry.shape[0])
                for block in columns(self._file, entry, n_columns, raw if first == 0 else None):
                    self._add_core(module, "A", block)
            self._finish(module)

    def _is_measured(self, module: str) -> bool:
        return module in self._scales and not self._found.is_pending_full

    def _add_core(self, module: str, side: str, block: NDArray[np.float32]) -> None:
        cores = self._pending.setdefault(module, {})
        if side not in cores:
            self._n_pending += 8 * block.shape[1] ** 2
            if self._n_pending > MAX_PENDING_BYTES:
                self._found.is_pending_full = True
                self._pending.clear()
                return
        cores[side] = gram(cores.get(side), block)

    def _finish(self, module: str) -> None:
        """Measure a module once both of its cores are there."""
        pair, stats = self._pairs[module], self._found.stats
        if not all(pair[side].name in stats for side in "AB"):
            return
        cores = self._pending.pop(module, {})
        self._n_pending -= sum(core.nbytes for core in cores.values())
        if any(stats[pair[side].name].n_bad for side in "AB") or len(cores) < 2:
            return
        (rank, n_in), (n_out, _) = pair["A"].shape, pair["B"].shape
        values = core_spectrum(cores["A"], cores["B"], min(rank, n_in, n_out))
        if values is None:
            values = self._slow_spectrum(pair["A"], pair["B"])
        self._found.spectra[module] = spectrum_of(
            name=module,
            shape=(n_out, n_in),
            rank=rank,
            scale=self._scales[module],
            values=values,
            cores=(cores["A"], cores["B"]),
        )

    def _slow_spectrum(self, a: TensorEntry, b: TensorEntry) -> NDArray[np.float64]:
        """Measure a pair whose cores lost too many digits, from QR factors over the file."""
        rank, n_out = a.shape[0], b.shape[0]
        factor_a = factor_b = None
        for block in columns(self._file, a, _FACTOR_ROWS):
            factor_a = add_rows(factor_a, block)
            self._advance(0)
        for at in range(0, n_out, _FACTOR_ROWS):
            raw = self._file.read_again(b, at * rank, min(_FACTOR_ROWS, n_out - at) * rank)
            factor_b = add_rows(factor_b, as_float32(raw, b.dtype).reshape(-1, rank))
            self._advance(0)
        if factor_a is None or factor_b is None:
            raise ValueError("an empty matrix has no spectrum")
        return factor_spectrum(factor_a, factor_b)

    def _id_order(self) -> list[TensorEntry]:
        sides = ("A", "B", MAGNITUDE)
        return [self._pairs[m][s] for m in sorted(self._pairs) for s in sides if s in self._pairs[m]]

    def _hash(self, entry: TensorEntry, first: int, block: NDArray[np.float32]) -> None:
        """Add numbers to the adapter's id, with what stands around them there."""
        module, side = self._sides[entry.name]
        pair = self._pairs[module]
        if side == "A" and first == 0:
            self._id.update(id_prefix(module, pair["A"].shape, pair["B"].shape))
        self._id.update(block.astype("<f4", copy=False).data)
        if side == "B" and first + block.size == entry.size:
            self._id.update(id_scale(self._scales[module], dora=MAGNITUDE in pair))

    def _hash_again(self) -> None:
        """Take the id from a second look, where tensors do not lie in the order of the id."""
        for entry in self._id_order():
            for at in range(0, entry.size, BLOCK_NUMBERS):
                raw = self._file.read_again(entry, at, min(BLOCK_NUMBERS, entry.size - at))
                self._hash(entry, at, as_float32(raw, entry.dtype))
                self._advance(raw.size)
