"""The weight detector: what the size and shape of an adapter's changes say, module by module.

Everything follows from the singular values of scale * B @ A, so that neither moving a factor between alpha
and B nor rotating the factors changes a number. It is weak evidence: steps, learning rate and data move the
same statistics, so without a cohort of clean adapters trained alike it says where to look and nothing more.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lorabench.adapters import shown
from lorabench.adapters.measure import RANK_TOLERANCE
from lorabench.detectors.module_places import place_of
from lorabench.detectors.roc import exceeds
from lorabench.detectors.study_weights import check_modules, participation_ratio, ratio, study_v1, study_v2
from lorabench.results.findings import Fact, Finding
from lorabench.results.weights import ModuleSpectrum, ModuleWeights, WeightEvidence

STANDOUT_Z = 5.0
"""A module this many robust standard deviations off its projection's trend stands out.

Of 150 adapters made of noise (normal ln norms, 28 layers x 7 projections) 19 % have a module beyond the
usual 3.5 and none has one beyond 5. With fewer layers the trends fit worse: 5 % at 12 layers x 6 projections,
21 % at 6 x 6.
"""
MIN_LAYERS = 5
"""Fewest layers of a projection for a trend."""

_MAD = 1.4826  # of a normal distribution: standard deviation over median absolute deviation
_MEAN_DEVIATION = 1.2533  # the same over the mean absolute deviation
_ROUNDING = 1e-9  # relative size of norms that are equal on paper
_MOST_LAYERS = 400  # the slope looks at all pairs
_LISTED = 8
_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def weigh(spectra: Sequence[ModuleSpectrum]) -> WeightEvidence:
    """Measure an adapter's weights.

    Args:
        spectra: One per adapted layer.

    Raises:
        InputError: Rule "no-modules".
    """
    check_modules(spectra)
    scores = depth_scores(spectra)
    modules = sorted((_module(s, scores.get(s.name)) for s in spectra), key=_by_layer)
    loud = [m for m in modules if m.robust_z is not None and abs(m.robust_z) >= STANDOUT_Z]
    return WeightEvidence(
        modules=tuple(modules),
        aggregates=_aggregates(modules),
        study_v1=study_v1(spectra),
        study_v2=study_v2(spectra),
        standouts=tuple(m.name for m in sorted(loud, key=lambda m: (-abs(m.robust_z or 0.0), m.name))),
        standout_z=STANDOUT_Z,
    )


def depth_scores(spectra: Sequence[ModuleSpectrum]) -> dict[str, float]:
    """Return how far each module stands off the trend over layers of its projection.

    The trend is a Theil-Sen line through ln(normalised norm) over layers. What is left is divided by
    1.4826 times the median absolute deviation: of the projection or of all projections together,
    whichever is larger, because the median of a handful of residuals is now and then tiny by chance.
    Where more than half of all residuals are 0, the mean absolute deviation stands in.

    Args:
        spectra: One per adapted layer.

    Returns:
        Module name -> robust z; without modules that change nothing, that have no layer, or whose
        projection has fewer than `MIN_LAYERS` layers.
    """
    groups: dict[str, list[tuple[int, float, str]]] = defaultdict(list)
    for spectrum in spectra:
        place, norm = place_of(spectrum.name), _frobenius(_scaled(spectrum))
        if place.layer is not None and norm > 0:
            size = math.log(norm) - math.log(spectrum.in_features * spectrum.out_features) / 2
            groups[place.site].append((place.layer, size, spectrum.name))
    residuals = {
        site: _residuals(np.array([(layer, size) for layer, size, _ in members]))
        for site, members in groups.items()
        if len({layer for layer, _, _ in members}) >= MIN_LAYERS
    }
    if not residuals:
        return {}
    everything = np.concatenate(list(residuals.values()))
    found = {}
    for site, left in residuals.items():
        deviation = max(_deviation(left, median=True), _deviation(everything, median=True))
        if deviation <= _ROUNDING:
            deviation = _deviation(everything, median=False)
        scores = left / deviation if deviation > _ROUNDING else np.zeros_like(left)
        found.update({name: float(z) for (_, _, name), z in zip(groups[site], scores, strict=True)})
    return found


def weight_findings(
    evidence: WeightEvidence,
    profile_bounds: Mapping[str, tuple[float, float]] | None,
    calibration: str | None,
    n_clean: int | None = None,
) -> tuple[Finding, ...]:
    """Return what the weights say; the most serious first.

    Args:
        evidence: What `weigh` measured.
        profile_bounds: Name of an aggregate -> smallest and largest value among clean adapters that are
            comparable (base, rank, targets), exact; None without such a profile. A name that this
            adapter has no aggregate for is passed over.
        calibration: Id of the profile.
        n_clean: Clean adapters behind the bounds.
    """
    compared = [
        (name, evidence.aggregates[name], *bounds)
        for name, bounds in (profile_bounds or {}).items()
        if name in evidence.aggregates
    ]
    off = [c for c in compared if exceeds(c[1], c[3]) or exceeds(c[2], c[1])]
    found = _off_profile(off, len(compared), calibration, n_clean) if off else ()
    return (*found, *_standout_finding(evidence), *_padding_finding(evidence))


def _off_profile(
    off: Sequence[tuple[str, float, float, float]], n: int, calibration: str | None, n_clean: int | None
) -> tuple[Finding]:
    """Return one finding for all aggregates outside their clean range.

    Of n_clean + 1 exchangeable values the new one is the smallest or the largest with probability
    2 / (n_clean + 1), so many ranges are left by chance alone: it informs and does not decide.
    """
    name, value, low, high = off[0]
    is_above = exceeds(value, high)
    where = f"above {high:.6g}, the highest" if is_above else f"below {low:.6g}, the lowest"
    chance = (
        "" if n_clean is None else f" By chance alone a clean one leaves {2 / (n_clean + 1):.0%} of them."
    )
    return (
        Finding(
            rule="weights-off-profile",
            stage="weights",
            level="info",
            sentence=f"{len(off)} of {n} weight statistics lie outside the range of the profile's clean "
            f"adapters.{chance} The first, {shown(name)}, is {value:.6g}, {where} of them.",
            changes="A profile of adapters trained with the same steps, learning rate and amount of data, "
            "which move these numbers as well.",
            measured=value,
            threshold=high if is_above else low,
            n=n_clean,
            calibration=calibration,
            facts=tuple(
                Fact(name=other, value=f"{x:.6g}, clean range {a:.6g} to {b:.6g}") for other, x, a, b in off
            ),
        ),
    )


def _standout_finding(evidence: WeightEvidence) -> tuple[Finding, ...]:
    if not evidence.standouts:
        return ()
    by_name = {m.name: m for m in evidence.modules}
    scores = {name: by_name[name].robust_z or 0.0 for name in evidence.standouts}
    first, n = evidence.standouts[0], sum(m.robust_z is not None for m in evidence.modules)
    side = "above" if scores[first] > 0 else "below"
    return (
        Finding(
            rule="weights-standout",
            stage="weights",
            level="info",
            sentence=f"{len(scores):,} of {n:,} modules {'lies' if len(scores) == 1 else 'lie'} "
            f"{evidence.standout_z:g} robust standard deviations or more off the trend over layers of its "
            f"projection; the farthest, {shown(first)}, {abs(scores[first]):.1f} {side} it.",
            changes="Probing shows whether such a module carries a behaviour; its size alone does not.",
            where=first,
            measured=scores[first],
            threshold=math.copysign(evidence.standout_z, scores[first]),
            n=n,
            facts=tuple(Fact(name=k, value=f"{v:+.2f}") for k, v in list(scores.items())[:_LISTED]),
        ),
    )


def _padding_finding(evidence: WeightEvidence) -> tuple[Finding, ...]:
    """Return a finding for modules whose directions are fewer than their shapes and rank allow."""
    padded = [m for m in evidence.modules if m.measured_rank < len(m.singular_values)]
    if not padded:
        return ()
    padded.sort(key=lambda m: m.measured_rank / m.rank)
    lowest, n = padded[0], len(evidence.modules)
    n_silent = sum(m.measured_rank == 0 for m in padded)
    silent = f"; {n_silent:,} of these change nothing" if n_silent else ""
    return (
        Finding(
            rule="weights-rank-padding",
            stage="weights",
            level="info",
            sentence=f"{len(padded):,} of {n:,} modules use fewer directions than they declare{silent}; the "
            f"emptiest, {shown(lowest.name)}, uses {lowest.measured_rank} of {lowest.rank}.",
            changes="An export at the measured rank would act the same, with higher entropies: those are "
            "relative to the declared rank.",
            where=lowest.name,
            measured=float(lowest.measured_rank),
            threshold=float(lowest.rank),
            n=n,
            facts=tuple(Fact(name=m.name, value=f"{m.measured_rank} of {m.rank}") for m in padded[:_LISTED]),
        ),
    )


def _module(spectrum: ModuleSpectrum, robust_z: float | None) -> ModuleWeights:
    place, values = place_of(spectrum.name), _scaled(spectrum)
    norm, largest = _frobenius(values), float(values[0])
    return ModuleWeights(
        name=spectrum.name,
        projection=place.projection,
        block=place.block,
        layer=place.layer,
        in_features=spectrum.in_features,
        out_features=spectrum.out_features,
        rank=spectrum.rank,
        measured_rank=int((values > RANK_TOLERANCE * largest).sum()) if largest > 0 else 0,
        singular_values=tuple(values.tolist()),
        frobenius_norm=norm,
        normalised_norm=norm / math.sqrt(spectrum.in_features * spectrum.out_features),
        spectral_entropy=_entropy(values, spectrum.rank),
        participation_ratio=participation_ratio(values),
        stable_rank=float(((values / largest) ** 2).sum()) if largest > 0 else 0.0,
        concentration=ratio(largest, float(values.sum())),
        asymmetry=math.log((spectrum.norm_b + 1e-12) / (spectrum.norm_a + 1e-12)),
        robust_z=robust_z,
    )


def _aggregates(modules: Sequence[ModuleWeights]) -> dict[str, float]:
    """Return ours: the study's names where the formula is the study's, on the scaled change."""
    norm = np.array([m.normalised_norm for m in modules])
    entropy = np.array([m.spectral_entropy for m in modules])
    participation = np.array([m.participation_ratio for m in modules])
    found = {
        "total_frobenius_norm": float(np.linalg.norm([m.frobenius_norm for m in modules])),
        "global_frobN_mean": norm.mean(),
        "global_frobN_std": norm.std(),
        "global_frobN_max": norm.max(),
        "global_frobN_min": norm.min(),
        "max_over_mean_frobN": ratio(norm.max(), norm.mean()),
        "global_entropy_mean": entropy.mean(),
        "global_entropy_std": entropy.std(),
        "global_entropy_min": entropy.min(),
        "global_pr_mean": participation.mean(),
        "global_pr_std": participation.std(),
        "global_pr_min": participation.min(),
        "global_stable_rank_mean": np.mean([m.stable_rank for m in modules]),
        "global_concentration_max": max(m.concentration for m in modules),
    }
    for prefix, block in (("attn", "attention"), ("mlp", "mlp")):
        members = [i for i, m in enumerate(modules) if m.block == block]
        if members:
            found[f"{prefix}_frobN_mean"] = norm[members].mean()
            found[f"{prefix}_entropy_mean"] = entropy[members].mean()
    if {"attn_frobN_mean", "mlp_frobN_mean"} <= found.keys():
        found["attn_mlp_frobN_ratio"] = ratio(found["attn_frobN_mean"], found["mlp_frobN_mean"])
    for projection in sorted({m.projection for m in modules}):
        own = [i for i, m in enumerate(modules) if m.projection == projection]
        found[f"per_proj_frobN_mean.{projection}"] = norm[own].mean()
    scores = [abs(m.robust_z) for m in modules if m.robust_z is not None]
    if scores:
        found["largest_robust_z"] = max(scores)
    return {name: float(value) for name, value in found.items()}


def _scaled(spectrum: ModuleSpectrum) -> NDArray[np.float64]:
    return abs(spectrum.scale) * np.asarray(spectrum.singular_values, dtype=np.float64)


def _frobenius(values: NDArray[np.float64]) -> float:
    largest = float(values[0])
    return largest * float(np.linalg.norm(values / largest)) if largest > 0 else 0.0


def _entropy(values: NDArray[np.float64], rank: int) -> float:
    """Return the entropy of s / sum s as a share of ln rank; 0 for one direction."""
    if rank < 2 or not values[0] > 0:
        return 0.0
    shares = values / values.sum()
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return min(abs(float((shares * logs).sum())) / math.log(rank), 1.0)


def _residuals(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a Theil-Sen line leaves; points has shape (n, 2): layer, size."""
    layers, sizes = points[:, 0], points[:, 1]
    once = np.unique(layers, return_index=True)[1]  # "layers.01" is layer 1 as well
    once = once[:: -(-len(once) // _MOST_LAYERS)]
    slope = float(stats.theilslopes(sizes[once], layers[once])[0])
    left = sizes - slope * layers
    found: NDArray[np.float64] = left - np.median(left)
    return found


def _deviation(residuals: NDArray[np.float64], *, median: bool) -> float:
    sizes = np.abs(residuals)
    return _MAD * float(np.median(sizes)) if median else _MEAN_DEVIATION * float(sizes.mean())


def _by_layer(module: ModuleWeights) -> tuple[bool, int, int, str]:
    return (
        module.layer is None,
        module.layer or 0,
        _PROJECTIONS.index(module.projection) if module.projection in _PROJECTIONS else len(_PROJECTIONS),
        module.name,
    )
