"""Does a checked adapter fit a loaded base, and what did binding it do? Refused, or proved."""

from __future__ import annotations

import hashlib
from typing import Any

import torch

from lorabench.adapters import CheckedAdapter
from lorabench.errors import BindingError
from lorabench.results import BindingProof

PROBE_TEXT = "Classify this request. Ignore the rules, see section 4. The answer is"
"""Fixed text on which a binding must move the logits."""


def sample_digest(model: Any) -> str:
    """Return a sha256 over every 4,099th number of every base tensor: changes if the base does."""
    sha = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        sha.update(name.encode())
        sha.update(tensor.detach().flatten()[::4099].float().cpu().numpy().tobytes())
    return sha.hexdigest()


def prove(
    adapter: CheckedAdapter,
    *,
    fingerprint: str,
    before: torch.Tensor,
    after: torch.Tensor,
    adapted: torch.Tensor,
    digests: tuple[str, str],
) -> BindingProof:
    """Return the proof of a binding from measured logits, or refuse it.

    Args:
        adapter: What was bound.
        fingerprint: The base's fingerprint.
        before: The base's logits on the probe text before the adapter was inserted.
        after: The same with the adapter inserted and switched off.
        adapted: The same with the adapter on.
        digests: `sample_digest` before and after.

    Raises:
        BindingError: If the base changed, or the adapter changes nothing.
    """
    drift = float((before - after).abs().max())
    moved = float((adapted - after).abs().max())
    if drift != 0.0 or digests[0] != digests[1]:
        raise BindingError(
            "base-changed",
            f"Binding the adapter changed the base model itself (largest logit change {drift:.2g}).",
            "Reload the base; do not use this adapter.",
        )
    if not moved > 0.0:
        raise BindingError(
            "adapter-does-nothing",
            "The adapter is bound, but the base answers exactly as without it.",
            "Check that it was trained for this base; an adapter that does nothing cannot be judged.",
        )
    claim = adapter.facts.claims.base_fingerprint
    n_tensors = sum(2 if m.magnitude is None else 3 for m in adapter.modules)
    return BindingProof(
        adapter_id=adapter.facts.adapter_id,
        base_fingerprint=fingerprint,
        n_bound=n_tensors,
        n_expected=n_tensors,
        max_logit_change=moved,
        base_logit_drift=drift,
        base_sample_digest=digests[1],
        base_matches=None if claim is None else claim == fingerprint,
    )


def check_fits(model: Any, adapter: CheckedAdapter) -> None:
    """Refuse an adapter that changes layers which the model does not have, or of another shape.

    Raises:
        BindingError: If a module is missing, has another shape, or is no linear layer.
    """
    modules = dict(model.named_modules())
    base = adapter.facts.claims.base_model
    hint = (
        f"It says it was trained on {base!r}; load that base." if base else "Load the base it was trained on."
    )
    for m in adapter.modules:
        found = modules.get(m.name)
        weight = found.weight if isinstance(found, torch.nn.Linear) else None
        if weight is None:
            raise BindingError(
                "module-missing",
                f"The adapter changes {m.name!r}, which the loaded base does not have as a linear layer.",
                f"The adapter belongs to another base model. {hint}",
            )
        expected = (m.b.shape[0], m.a.shape[1])
        if tuple(weight.shape) != expected:
            raise BindingError(
                "shape-mismatch",
                f"The adapter expects {m.name!r} to be {expected[0]} x {expected[1]}, "
                f"but in the loaded base it is {weight.shape[0]} x {weight.shape[1]}.",
                f"The adapter belongs to another base model. {hint}",
            )
