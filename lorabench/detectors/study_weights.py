"""The weight aggregates of arXiv 2605.30189, in its two versions; both on B @ A without alpha / r.

They are here so that its numbers can be compared. Version 1 (notebook 10) and version 2 (notebooks 15 to 17)
name things alike and compute them differently: v1's entropy is a share of ln r and its asymmetry is a natural
logarithm, v2's are nats and a decimal logarithm. Standard deviations divide by n. Asymmetry changes with
(cB, A / c), and everything here with (cB, alpha / c): neither is evidence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lorabench.detectors.module_places import Block, place_of
from lorabench.errors import InputError
from lorabench.results.weights import ModuleSpectrum

_SMALL_V1 = 1e-12
_SMALL_V2 = 1e-30
_BLOCKS: tuple[tuple[str, Block], ...] = (("attn", "attention"), ("mlp", "mlp"))


def study_v1(spectra: Sequence[ModuleSpectrum]) -> dict[str, float]:
    """Return the 19 aggregates of version 1; those of a block that has no modules are left out.

    Args:
        spectra: One per adapted layer.

    Raises:
        InputError: Rule "no-modules".
    """
    check_modules(spectra)
    norm = _normalised_norms(spectra)
    values = [_values(s) for s in spectra]
    entropy = np.array([_entropy_v1(v, s.rank) for v, s in zip(values, spectra, strict=True)])
    over_mean = np.array([v[0] / m if (m := v.mean()) > 0 else 0.0 for v in values])  # a mean may underflow
    over_sum = np.array([v[0] / v.sum() if v[0] > 0 else 0.0 for v in values])
    participation = np.array([participation_ratio(v) for v in values])
    asymmetry = np.array([math.log(s.norm_b + _SMALL_V1) - math.log(s.norm_a + _SMALL_V1) for s in spectra])
    found = {
        "global_frobN_mean": norm.mean(),
        "global_frobN_max": norm.max(),
        "global_frobN_std": norm.std(),
        "global_sv_max_over_mean_max": over_mean.max(),
        "global_sv_max_over_sum_max": over_sum.max(),
        "global_entropy_min": entropy.min(),
        "global_entropy_mean": entropy.mean(),
        "global_pr_min": participation.min(),
        "global_pr_mean": participation.mean(),
        "global_asym_max_abs": np.abs(asymmetry).max(),
        "global_asym_mean": asymmetry.mean(),
        "global_asym_std": asymmetry.std(),
    }
    for prefix, members in _members(spectra).items():
        found[f"{prefix}_frobN_mean"] = norm[members].mean()
        found[f"{prefix}_entropy_mean"] = entropy[members].mean()
        found[f"{prefix}_sv_max_over_mean_max"] = over_mean[members].max()
    return _with_ratio(found)


def study_v2(spectra: Sequence[ModuleSpectrum]) -> dict[str, float]:
    """Return the 16 aggregates of version 2, and "per_proj_frobN_mean.NAME" for each projection.

    `global_max_over_mean_sv` has the study's name; it is the largest norm over the mean norm.

    Args:
        spectra: One per adapted layer.

    Raises:
        InputError: Rule "no-modules".
    """
    check_modules(spectra)
    norm = _normalised_norms(spectra)
    values = [_values(s) for s in spectra]
    entropy = np.array([_entropy_v2(v) for v in values])
    participation = np.array([participation_ratio(v) for v in values])
    asymmetry = np.array([math.log10((s.norm_b + _SMALL_V2) / (s.norm_a + _SMALL_V2)) for s in spectra])
    found = {
        "global_frobN_mean": norm.mean(),
        "global_frobN_std": norm.std(),
        "global_frobN_max": norm.max(),
        "global_frobN_min": norm.min(),
        "global_entropy_mean": entropy.mean(),
        "global_entropy_std": entropy.std(),
        "global_pr_mean": participation.mean(),
        "global_pr_std": participation.std(),
        "global_asym_mean": asymmetry.mean(),
        "global_asym_std": asymmetry.std(),
        "global_max_over_mean_sv": ratio(norm.max(), norm.mean()),
    }
    for prefix, members in _members(spectra).items():
        found[f"{prefix}_frobN_mean"] = norm[members].mean()
        found[f"{prefix}_entropy_mean"] = entropy[members].mean()
    for projection, mean in projection_means(spectra, norm).items():
        found[f"per_proj_frobN_mean.{projection}"] = mean
    return _with_ratio(found)


def projection_means(spectra: Sequence[ModuleSpectrum], norms: NDArray[np.float64]) -> dict[str, float]:
    """Return the mean norm of each projection, by name."""
    projections = np.array([place_of(s.name).projection for s in spectra], dtype=object)
    return {str(p): float(norms[projections == p].mean()) for p in sorted(set(projections))}


def projection_growth(
    suspects: Sequence[Mapping[str, float]], clean: Sequence[Mapping[str, float]]
) -> dict[str, float]:
    """Return how much larger each projection's mean norm is in suspects than in clean adapters.

    Args:
        suspects: Projection -> mean norm, one mapping per adapter.
        clean: The same of the clean ones; a projection they lack, or have at 0, is left out.

    Returns:
        Projection -> mean over suspects / mean over clean - 1.
    """
    found = {}
    for projection in clean[0]:
        base = math.fsum(c[projection] for c in clean) / len(clean)
        if base > 0 and all(projection in s for s in suspects):
            found[projection] = math.fsum(s[projection] for s in suspects) / len(suspects) / base - 1
    return found


def ratio(numerator: float, denominator: float) -> float:
    """Return a quotient; 0 where nothing was changed."""
    return float(numerator / denominator) if denominator > 0 else 0.0


def participation_ratio(values: NDArray[np.float64]) -> float:
    """Return (sum s)^2 / sum s^2: how many directions carry the change; 0 if there is none."""
    if not values[0] > 0:
        return 0.0
    shares = values / values[0]  # squares of tiny values would vanish
    return float(shares.sum() ** 2 / (shares**2).sum())


def check_modules(spectra: Sequence[ModuleSpectrum]) -> None:
    """Refuse an adapter without modules.

    Raises:
        InputError: Rule "no-modules".
    """
    if not spectra:
        raise InputError("no-modules", "The adapter changes no module.", "Give one with at least one.")


def _values(spectrum: ModuleSpectrum) -> NDArray[np.float64]:
    return np.asarray(spectrum.singular_values, dtype=np.float64)


def _normalised_norms(spectra: Sequence[ModuleSpectrum]) -> NDArray[np.float64]:
    """Return the Frobenius norm of each B @ A over sqrt(in * out)."""
    return np.array([np.linalg.norm(_values(s)) / math.sqrt(s.in_features * s.out_features) for s in spectra])


def _entropy_v1(values: NDArray[np.float64], rank: int) -> float:
    if rank < 2 or not values[0] > 0:  # the study has no such module
        return 0.0
    shares = values / values.sum()
    return float(-(shares * np.log(shares + _SMALL_V1)).sum() / math.log(rank))


def _entropy_v2(values: NDArray[np.float64]) -> float:
    if not values[0] > 0:
        return 0.0
    shares = values / values.sum()
    return float(-(shares * np.log(shares + _SMALL_V2)).sum())


def _members(spectra: Sequence[ModuleSpectrum]) -> dict[str, NDArray[np.int64]]:
    """Return which modules belong to "attn" and to "mlp", where there are any."""
    blocks = [place_of(s.name).block for s in spectra]
    found = {p: np.array([i for i, b in enumerate(blocks) if b == block]) for p, block in _BLOCKS}
    return {prefix: members for prefix, members in found.items() if members.size}


def _with_ratio(found: Mapping[str, float]) -> dict[str, float]:
    plain = {name: float(value) for name, value in found.items()}
    if {"attn_frobN_mean", "mlp_frobN_mean"} <= plain.keys():
        plain["attn_mlp_frobN_ratio"] = ratio(plain["attn_frobN_mean"], plain["mlp_frobN_mean"])
    return plain
