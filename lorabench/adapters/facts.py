"""Facts about an adapter from what was measured, the same for binding and for scanning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lorabench.adapters.lora_config import LoraSettings
from lorabench.adapters.measure import facts_of
from lorabench.adapters.modules import disagreeing_targets
from lorabench.adapters.safetensors_header import TensorEntry
from lorabench.adapters.text import shown
from lorabench.errors import AdapterRefusedError
from lorabench.results import AdapterFacts, Claims, ModuleFacts
from lorabench.results.weights import ModuleSpectrum


def adapter_facts(
    *,
    adapter_id: str,
    settings: LoraSettings,
    entries: Sequence[TensorEntry],
    spectra: Iterable[ModuleSpectrum],
    n_bytes: int,
    claims: Claims,
) -> AdapterFacts:
    """Put the facts of a checked adapter together.

    Args:
        adapter_id: As `measure.adapter_id` defines it.
        settings: Its config.
        entries: All its tensors.
        spectra: Its modules as measured, sorted by name.
        n_bytes: Size of its weight file.
        claims: What it says about itself.
    """
    modules = tuple(facts_of(spectrum) for spectrum in spectra)
    return AdapterFacts(
        adapter_id=adapter_id,
        rank=max(module.rank for module in modules),
        alpha=settings.alpha,
        use_rslora=settings.use_rslora,
        n_parameters=sum(entry.size for entry in entries),
        n_bytes=n_bytes,
        dtype="+".join(sorted({entry.dtype for entry in entries})),
        targets=tuple(sorted({module.name.rsplit(".", 1)[-1] for module in modules})),
        modules=modules,
        claims=claims,
    )


def zero_adapter(modules: Sequence[ModuleFacts], *, use_dora: bool) -> AdapterRefusedError | None:
    """Return the error for an adapter that changes nothing, or None.

    DoRA's magnitudes act even where B @ A is zero; whether they do is seen on the base.
    """
    if use_dora or any(module.delta_norm > 0 for module in modules):
        return None
    return AdapterRefusedError(
        "zero-adapter",
        "Every change B @ A of the adapter is zero: it would do nothing.",
        "Check that it was trained before it was saved.",
    )


def non_finite(name: str, n_bad: int) -> AdapterRefusedError:
    """Return the error for a tensor with NaN or infinity."""
    return AdapterRefusedError(
        "non-finite-weight",
        f"The tensor '{shown(name)}' has {n_bad:,} values that are not finite numbers.",
        "Its training diverged or the file is damaged; do not use it.",
    )


def target_notes(names: list[str], settings: LoraSettings) -> list[str]:
    """Say where the config's target list and the tensors disagree: PEFT would skip such tensors."""
    missed, unused = disagreeing_targets(names, settings)
    notes = []
    if missed:
        notes.append(
            f"target_modules does not name {len(missed):,} of the adapted modules, such as "
            f"{shown(missed[0])}: PEFT would leave them out, lorabench does not."
        )
    if unused:
        notes.append(f"target_modules names {shown(', '.join(unused))}, for which there are no tensors.")
    return notes
