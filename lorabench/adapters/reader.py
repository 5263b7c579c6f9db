"""Read an adapter's folder into checked facts and matrices, or refuse it with a named rule."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorabench.adapters.claims import read_claims
from lorabench.adapters.files import read_small
from lorabench.adapters.inventory import CONFIG_FILE, WEIGHTS_FILE, take_inventory
from lorabench.adapters.lora_config import MAX_CONFIG_BYTES, LoraSettings, parse_lora_config
from lorabench.adapters.measure import adapter_id, module_facts
from lorabench.adapters.modules import MAGNITUDE, LoraModule, check_magnitudes, pair_entries, settle
from lorabench.adapters.safetensors_reader import SafetensorsFile
from lorabench.adapters.text import shown
from lorabench.config import Limits
from lorabench.errors import AdapterRefusedError
from lorabench.results import AdapterFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedAdapter:
    """An adapter whose every tensor was read and checked.

    Attributes:
        facts: What was measured, and what it claims.
        modules: The matrices, sorted by name.
        weights_sha256: sha256 of the weight file's bytes as parsed.
    """

    facts: AdapterFacts
    modules: tuple[LoraModule, ...]
    weights_sha256: str


def read_adapter(folder: Path, limits: Limits | None = None) -> CheckedAdapter:
    """Read and check an adapter's folder without loading any base model.

    Nothing in the folder is executed, imported, unpickled or followed. Files that are not
    needed are named in `facts.claims.notes` and never opened.

    Args:
        folder: Holds `adapter_config.json` and `adapter_model.safetensors`.
        limits: Bounds on size and rank.

    Raises:
        AdapterRefusedError: With the rule of the check that failed.
    """
    limits = limits or Limits()
    inventory = take_inventory(folder)
    config = read_small(folder / CONFIG_FILE, max_bytes=MAX_CONFIG_BYTES)
    settings = parse_lora_config(config, max_rank=limits.rank)
    with SafetensorsFile(folder / WEIGHTS_FILE, max_bytes=limits.adapter_bytes) as file:
        pairs = pair_entries(file.entries)
        names = sorted(pairs)
        ranks = {name: pairs[name]["A"].shape[0] for name in names}
        scales = settle(names, ranks, settings)  # before any data is read
        check_magnitudes(pairs, use_dora=settings.use_dora)
        values = {entry.name: _finite(entry.name, array) for entry, array in file.tensors()}
        dtypes = sorted({entry.dtype for entry in file.entries})
        n_bytes, sha256 = file.n_bytes, file.sha256
    modules = tuple(
        LoraModule(
            name,
            a=values[pairs[name]["A"].name],
            b=values[pairs[name]["B"].name],
            scale=scales[name],
            magnitude=values[pairs[name][MAGNITUDE].name] if settings.use_dora else None,
        )
        for name in names
    )
    measured = tuple(module_facts(module) for module in modules)
    # Magnitudes act even where B @ A is zero; whether they do is seen on the base, when it is bound.
    if not settings.use_dora and not any(module.delta_norm > 0 for module in measured):
        raise AdapterRefusedError(
            "zero-adapter",
            "Every change B @ A of the adapter is zero: it would do nothing.",
            "Check that it was trained before it was saved.",
        )
    notes = [*inventory.notes, *settings.notes, *_target_notes(names, settings)]
    facts = AdapterFacts(
        adapter_id=adapter_id(modules),
        rank=max(ranks.values()),
        alpha=settings.alpha,
        use_rslora=settings.use_rslora,
        n_parameters=sum(array.size for array in values.values()),
        n_bytes=n_bytes,
        dtype="+".join(dtypes),
        targets=tuple(sorted({name.rsplit(".", 1)[-1] for name in names})),
        modules=measured,
        claims=read_claims(folder, inventory.files, base_model=settings.base_model, notes=notes),
    )
    return CheckedAdapter(facts=facts, modules=modules, weights_sha256=sha256)


def _finite(name: str, array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the array read-only, or refuse one with NaN or infinity."""
    if not np.isfinite(array).all():
        n_bad = int(array.size - np.isfinite(array).sum())
        raise AdapterRefusedError(
            "non-finite-weight",
            f"The tensor '{shown(name)}' has {n_bad:,} values that are not finite numbers.",
            "Its training diverged or the file is damaged; do not use it.",
        )
    array.flags.writeable = False
    return array


def _target_notes(names: list[str], settings: LoraSettings) -> list[str]:
    """Say where the config's target list and the tensors disagree: PEFT would skip such tensors."""
    if settings.target_modules is None:
        return []
    targets = set(settings.target_modules)
    used: set[str] = set()
    missed = []
    for name in names:
        parts = name.split(".")
        fits = targets.intersection(".".join(parts[i:]) for i in range(len(parts)))
        used |= fits
        if not fits:
            missed.append(name)
    notes = []
    if missed and targets != {"all-linear"}:
        notes.append(
            f"target_modules does not name {len(missed):,} of the adapted modules, such as "
            f"{shown(missed[0])}: PEFT would leave them out, lorabench does not."
        )
    unused = sorted(targets - used - {"all-linear"})
    if unused:
        notes.append(f"target_modules names {shown(', '.join(unused))}, for which there are no tensors.")
    return notes
