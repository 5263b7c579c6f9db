"""What is known about a base model or an adapter, kept apart from what it claims about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFacts:
    """One adapted linear layer, measured.

    Attributes:
        name: Module path in the base model, such as "model.layers.0.self_attn.q_proj".
        in_features: Columns of A.
        out_features: Rows of B.
        rank: Declared rank: rows of A.
        measured_rank: Numerical rank of B @ A (singular values above 1e-5 of the largest).
        scale: alpha / r, or alpha / sqrt(r) with rsLoRA.
        delta_norm: Frobenius norm of scale * B @ A.
    """

    name: str
    in_features: int
    out_features: int
    rank: int
    measured_rank: int
    scale: float
    delta_norm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What the adapter says about itself: bounded text, shown as a claim, never evidence.

    Attributes:
        base_model: `base_model_name_or_path` of its config.
        base_fingerprint: `base_fingerprint` of its `lorabench.json`.
        card: First 4,000 characters of its README.
        lorabench: Its `lorabench.json`, depth- and size-bounded; empty if it has none.
        notes: Notable things about the folder, such as ignored files or dropped fields.
    """

    base_model: str | None = None
    base_fingerprint: str | None = None
    card: str | None = None
    lorabench: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterFacts:
    """An adapter on disk, checked without loading any base model.

    Attributes:
        adapter_id: sha256 over its tensors and scales: equal ids, equal behaviour.
        rank: Largest rank.
        alpha: Alpha of the config.
        use_rslora: Whether the scale is alpha / sqrt(r).
        n_parameters: Numbers in all A and B, and in DoRA's magnitude vectors.
        n_bytes: Size of the weight file.
        dtype: Stored number type, such as "F16".
        targets: Short names of the adapted projections, sorted.
        modules: One entry per adapted layer.
        claims: What it says about itself.
    """

    adapter_id: str
    rank: int
    alpha: float
    use_rslora: bool
    n_parameters: int
    n_bytes: int
    dtype: str
    targets: tuple[str, ...]
    modules: tuple[ModuleFacts, ...]
    claims: Claims


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingProof:
    """Evidence that a bound adapter acts on this base, and that the base is unchanged.

    Attributes:
        adapter_id: Which adapter.
        base_fingerprint: Which base.
        n_bound: Tensors copied into the model.
        n_expected: Tensors in the adapter.
        max_logit_change: Largest change of a next-token logit on a fixed prompt, adapter
            against base; 0 would mean an adapter that does nothing.
        base_logit_drift: Largest change of the base's own logits on that prompt across the
            binding; must be exactly 0.
        base_sample_digest: sha256 of sampled base tensors, equal before and after.
        base_matches: Whether the adapter's own claim about its base agrees: True, False, or
            None when it makes no checkable claim.
    """

    adapter_id: str
    base_fingerprint: str
    n_bound: int
    n_expected: int
    max_logit_change: float
    base_logit_drift: float
    base_sample_digest: str
    base_matches: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledAdapter:
    """An adapter the workbench can use.

    Attributes:
        name: Unique display name.
        path: Folder that holds it.
        origin: "zoo" (bundled), "added" (by a user) or "path" (a folder given directly).
        facts: Checked facts, or None if it was refused.
        refusal: The refusal sentence, or None.
    """

    name: str
    path: str
    origin: Literal["zoo", "added", "path"]
    facts: AdapterFacts | None
    refusal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledBase:
    """A base model of the registry, a hub id, or a folder.

    Attributes:
        base_id: "demo", a hub id, or a folder.
        title: What people read.
        source: Where it comes from, with revision or sha256.
        licence: Licence name as stated by its source.
        n_bytes: Size on disk if present, else the download size; None if unknown.
        is_present: Whether it can be loaded now.
        fingerprint: sha256 over its tensors, when present and known.
        chat_template: "own", "study", or "none".
    """

    base_id: str
    title: str
    source: str
    licence: str
    n_bytes: int | None
    is_present: bool
    fingerprint: str | None
    chat_template: str
