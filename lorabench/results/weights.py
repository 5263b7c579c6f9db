"""What the weights of an adapter look like, module by module."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleSpectrum:
    """One adapted linear layer as its low-rank change B @ A shows itself; everything else follows from this.

    Attributes:
        name: Module path in the base model, such as "model.layers.0.self_attn.q_proj".
        in_features: Columns of A.
        out_features: Rows of B.
        rank: Rows of A.
        scale: alpha / r, or alpha / sqrt(r) with rsLoRA; B @ A below is without it.
        singular_values: Of B @ A, unscaled, largest first; length min(rank, in, out).
        norm_a: Frobenius norm of A.
        norm_b: Frobenius norm of B.
    """

    name: str
    in_features: int
    out_features: int
    rank: int
    scale: float
    singular_values: tuple[float, ...]
    norm_a: float
    norm_b: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleWeights:
    """Features of one module, all of the scaled change scale * B @ A.

    Attributes:
        name: Module path in the base model.
        projection: Last part of the path, such as "q_proj".
        block: "attention", "mlp" or "other".
        layer: Index of the decoder layer; None if the path names none.
        in_features: Columns of A.
        out_features: Rows of B.
        rank: Declared rank.
        measured_rank: Singular values above 1e-5 of the largest.
        singular_values: Scaled, largest first.
        frobenius_norm: Of the scaled change.
        normalised_norm: The same over sqrt(in * out).
        spectral_entropy: -sum p ln p over p = s / sum s, divided by ln(rank): in [0, 1].
        participation_ratio: (sum s)^2 / sum s^2: how many directions carry the change.
        stable_rank: sum s^2 / s_1^2.
        concentration: s_1 / sum s.
        asymmetry: ln(norm B / norm A) as stored; it changes with (cB, A/c) and is no evidence.
        robust_z: How far ln(normalised_norm) stands off the trend over layers of its projection,
            in robust standard deviations (1.4826 MAD); None where the trend cannot be fitted.
    """

    name: str
    projection: str
    block: str
    layer: int | None
    in_features: int
    out_features: int
    rank: int
    measured_rank: int
    singular_values: tuple[float, ...]
    frobenius_norm: float
    normalised_norm: float
    spectral_entropy: float
    participation_ratio: float
    stable_rank: float
    concentration: float
    asymmetry: float
    robust_z: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightEvidence:
    """An adapter's weights, measured.

    Attributes:
        modules: One entry per adapted layer, by layer and projection.
        aggregates: Ours, on the scaled change, by name: invariant under (cB, alpha/c) and rotation.
        study_v1: The 19 aggregates of arXiv 2605.30189, notebook 10, on B @ A without the scale.
        study_v2: Those of notebooks 15 to 17, on B @ A without the scale.
        standouts: Names of the modules with |robust_z| at or above `standout_z`, strongest first.
        standout_z: That threshold.
    """

    modules: tuple[ModuleWeights, ...]
    aggregates: dict[str, float]
    study_v1: dict[str, float]
    study_v2: dict[str, float]
    standouts: tuple[str, ...]
    standout_z: float
