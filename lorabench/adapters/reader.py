"""Read an adapter's folder into checked facts and matrices, or refuse it with a named rule."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorabench.adapters.claims import read_claims
from lorabench.adapters.facts import adapter_facts, non_finite, target_notes, zero_adapter
from lorabench.adapters.files import read_small
from lorabench.adapters.inventory import CONFIG_FILE, WEIGHTS_FILE, take_inventory
from lorabench.adapters.lora_config import MAX_CONFIG_BYTES, parse_lora_config
from lorabench.adapters.measure import adapter_id, facts_of, module_spectrum
from lorabench.adapters.modules import (
    MAGNITUDE,
    LoraModule,
    check_magnitudes,
    pair_entries,
    settle,
)
from lorabench.adapters.safetensors_reader import SafetensorsFile
from lorabench.config import Limits
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
        entries, n_bytes, sha256 = file.entries, file.n_bytes, file.sha256
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
    spectra = tuple(module_spectrum(module) for module in modules)
    zero = zero_adapter([facts_of(spectrum) for spectrum in spectra], use_dora=settings.use_dora)
    if zero is not None:
        raise zero
    notes = [*inventory.notes, *settings.notes, *target_notes(names, settings)]
    facts = adapter_facts(
        adapter_id=adapter_id(modules),
        settings=settings,
        entries=entries,
        spectra=spectra,
        n_bytes=n_bytes,
        claims=read_claims(folder, inventory.files, base_model=settings.base_model, notes=notes),
    )
    return CheckedAdapter(facts=facts, modules=modules, weights_sha256=sha256)


def _finite(name: str, array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the array read-only, or refuse one with NaN or infinity."""
    if not np.isfinite(array).all():
        raise non_finite(name, int(array.size - np.isfinite(array).sum()))
    array.flags.writeable = False
    return array
