"""Everything the firewall says about a weight file: header, pairs, numbers, replaced rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorabench.adapters.base_facts import BaseFacts
from lorabench.adapters.book import FindingBook
from lorabench.adapters.config_findings import note_targets
from lorabench.adapters.facts import adapter_facts, non_finite, zero_adapter
from lorabench.adapters.lora_config import LoraSettings
from lorabench.adapters.measure import facts_of
from lorabench.adapters.modules import Pairs, check_magnitudes, pair_entries, settle
from lorabench.adapters.row_changes import note_low_rank_rows, watchers
from lorabench.adapters.safetensors_header import TensorEntry
from lorabench.adapters.safetensors_reader import SafetensorsFile
from lorabench.adapters.streaming import Measured, WeightStream
from lorabench.adapters.text import shown
from lorabench.config import Limits
from lorabench.results import AdapterFacts, Claims
from lorabench.results.findings import Fact
from lorabench.results.weights import ModuleSpectrum

ABSURD_WEIGHT = 1e4
"""The bundled adapters' largest number is below 1; F16 ends at 65,504."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightScan:
    """What one weight file gave.

    Attributes:
        sha256: Of its bytes as parsed; None if they could not be.
        n_bytes: Its size.
        n_tensors: How many tensors its header names.
        coverage: Share of them that belong to a module and hold readable, finite numbers.
        entries: The tensors.
        spectra: The modules as measured, sorted by name; all of them, or none.
        adapter_id: None where the adapter is refused or was not measured.
    """

    sha256: str | None = None
    n_bytes: int = 0
    n_tensors: int = 0
    coverage: float = 0.0
    entries: tuple[TensorEntry, ...] = ()
    spectra: tuple[ModuleSpectrum, ...] = ()
    adapter_id: str | None = None

    @property
    def names(self) -> list[str]:
        """Names of the measured modules, sorted."""
        return [spectrum.name for spectrum in self.spectra]

    def facts(self, settings: LoraSettings, claims: Claims) -> AdapterFacts | None:
        """Return the adapter's facts; None if it was not measured."""
        if self.adapter_id is None or not self.spectra:
            return None
        return adapter_facts(
            adapter_id=self.adapter_id,
            settings=settings,
            entries=self.entries,
            spectra=self.spectra,
            n_bytes=self.n_bytes,
            claims=claims,
        )


def scan_weights(
    path: Path,
    limits: Limits,
    config: dict[str, Any],
    settings: LoraSettings | None,
    book: FindingBook,
    *,
    base: BaseFacts | None,
    texts: Callable[[], dict[int, str]],
    on_progress: Callable[[int, int], None] | None,
    cancelled: Callable[[], bool] | None,
) -> WeightScan:
    """Check and measure a weight file in one pass.

    Args:
        path: The file.
        limits: Bounds on size and rank.
        config: The parsed config, as far as it could be.
        settings: The checked config; None if it is wrong.
        book: Takes what is found.
        base: What replaced rows are compared with, or None.
        texts: Gives token texts by id, asked for only where rows are named.
        on_progress: Is told bytes done and bytes in all.
        cancelled: Whether to stop.

    Raises:
        AdapterRefusedError: The file cannot be read any further.
        CancelledError: `cancelled` said so.
    """
    with SafetensorsFile(path, max_bytes=limits.adapter_bytes, on_problem=book.problem) as file:
        pairs = pair_entries(file.entries, book.problem)
        scales = _scales(pairs, settings, limits, book)
        if not file.is_framed:
            return WeightScan(n_bytes=file.n_bytes, n_tensors=len(file.entries), entries=file.entries)
        paired = {entry.name for pair in pairs.values() for entry in pair.values()}
        loose = tuple(entry for entry in file.entries if entry.name not in paired)
        rows = watchers(loose, config, base, book)
        stream = WeightStream(
            file,
            pairs,
            scales,
            with_id=book.refusal is None,
            rows=rows,
            on_progress=on_progress,
            cancelled=cancelled,
        )
        measured = stream.run()
        _note_numbers(measured, book)
        good = {name for name, stats in measured.stats.items() if not stats.n_bad}
        if loose:
            names = texts()
            for name, watcher in rows.items():
                if name in good:
                    watcher.note(names, book)
            note_low_rank_rows(file, tuple(e for e in loose if e.name in good), names, book)
        file.check_unchanged()
        _note_modules(measured, pairs, settings, book)
        understood = [e for e in file.entries if e.name in paired and e.is_readable and e.name in good]
        return WeightScan(
            sha256=measured.sha256,
            n_bytes=file.n_bytes,
            n_tensors=len(file.entries),
            coverage=len(understood) / len(file.entries) if file.entries else 0.0,
            entries=file.entries,
            spectra=tuple(measured.spectra[name] for name in sorted(measured.spectra)),
            adapter_id=measured.adapter_id if not measured.is_pending_full else None,
        )


def _scales(
    pairs: Pairs, settings: LoraSettings | None, limits: Limits, book: FindingBook
) -> dict[str, float]:
    """Return the scale of each module that can be measured."""
    if settings is None:
        return {}
    names = sorted(pairs)
    ranks = {name: pairs[name]["A"].shape[0] for name in names}
    scales = settle(names, ranks, settings, book.problem)
    check_magnitudes(pairs, use_dora=settings.use_dora, on_problem=book.problem)
    note_targets(names, settings, book)
    readable = {n for n in names if all(entry.is_readable for entry in pairs[n].values())}
    return {name: scale for name, scale in scales.items() if name in readable and ranks[name] <= limits.rank}


def _note_numbers(measured: Measured, book: FindingBook) -> None:
    """Report tensors whose numbers are not finite, absurdly large or vanishingly small."""
    n_small = sum(stats.n_subnormal for stats in measured.stats.values())
    for name, stats in measured.stats.items():
        if stats.n_bad:
            book.problem(non_finite(name, stats.n_bad), name)
        elif stats.largest > ABSURD_WEIGHT:
            book.note(
                "absurd-weight",
                f"The tensor '{shown(name)}' has numbers up to {stats.largest:.3g} in size.",
                where=name,
                measured=stats.largest,
                threshold=ABSURD_WEIGHT,
                changes="Ask its author how it was made; trained matrices stay far below.",
            )
    if n_small:
        n = sum(stats.n for stats in measured.stats.values())
        sentence = f"{n_small:,} of {n:,} numbers are below the smallest normal float32."
        book.note("denormal-weight", sentence, measured=n_small / n)


def _note_modules(measured: Measured, pairs: Pairs, settings: LoraSettings | None, book: FindingBook) -> None:
    """Report modules without a change, an adapter without one, and weights that were not measured."""
    if measured.is_pending_full:
        measured.spectra.clear()
        book.note(
            "unusual-tensor-order",
            "The matrices A and B of its modules lie too far apart in the file to be measured together.",
            changes="Save it again with PEFT, which keeps them side by side.",
        )
        return
    modules = [facts_of(spectrum) for spectrum in measured.spectra.values()]
    if settings is None or len(modules) < len(pairs) or not modules:
        return
    zero = zero_adapter(modules, use_dora=settings.use_dora)
    empty = sorted(module.name for module in modules if module.delta_norm == 0)
    if zero is not None:
        book.problem(zero)
    elif empty:
        sentence = f"{len(empty):,} of {len(modules):,} modules change nothing, such as '{shown(empty[0])}'."
        facts = (Fact(name="modules", value=shown(", ".join(empty), limit=1_000)),)
        book.note("zero-module", sentence, where=empty[0], facts=facts)
