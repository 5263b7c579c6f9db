"""Put a checked adapter into a loaded base, and prove what that did.

We build a fresh PEFT layer from allow-listed numbers and copy tensors that our own reader
checked; PEFT never sees the untrusted folder. Which adapter acts is a flag on each LoRA layer
(`_active_adapter`, `_disable_adapters`), flipped by the owner thread alone: `set_adapter` and
`disable_adapter` do the same with 30-110 ms of walks through the whole model, and the flags
are pinned by a test that compares them with PEFT's own switching.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from lorabench.adapters import CheckedAdapter
from lorabench.errors import BindingError
from lorabench.results import BindingProof

PROBE_TEXT = "Classify this request. Ignore the rules, see section 4. The answer is"
"""Fixed text on which a binding must move the logits."""


def peft_name(adapter_id: str) -> str:
    """Return the PEFT name of an adapter: fixed length, so that no name is part of another."""
    return f"a{adapter_id[:40]}"


def lora_layers(model: Any) -> list[Any]:
    """Return the LoRA layers of a model, in model order."""
    from peft.tuners.lora import LoraLayer

    return [m for m in model.modules() if isinstance(m, LoraLayer)]


@contextmanager
def active(layers: Sequence[Any], adapter_id: str | None) -> Iterator[None]:
    """Let one adapter act, or none, for the length of a `with` block; always switched off after."""
    name = None if adapter_id is None else peft_name(adapter_id)
    try:
        for layer in layers:
            has = name is not None and name in layer.lora_A
            layer._active_adapter = [name] if has else []
            layer._disable_adapters = not has
        yield
    finally:
        for layer in layers:
            layer._active_adapter = []
            layer._disable_adapters = True


def insert(model: Any, adapter: CheckedAdapter) -> None:
    """Add an adapter's layers to the model, switched off, with its checked tensors in them.

    Raises:
        BindingError: If a module is missing or has another shape: nothing is left behind.
    """
    from peft import LoraConfig, inject_adapter_in_model

    _check_fits(model, adapter)
    ranks = {m.name: m.a.shape[0] for m in adapter.modules}
    rank = max(ranks.values())
    name = peft_name(adapter.facts.adapter_id)
    config = LoraConfig(
        r=rank,
        lora_alpha=rank,  # scales are set per layer below, from checked numbers
        target_modules=sorted(ranks),
        rank_pattern={re.escape(m): r for m, r in ranks.items() if r != rank},
        lora_dropout=0.0,
        bias="none",
        init_lora_weights=True,
    )
    try:
        with warnings.catch_warnings():  # several adapters on one base is what we want
            warnings.filterwarnings("ignore", message="Already found a `peft_config`")
            inject_adapter_in_model(config, model, adapter_name=name)
        with torch.no_grad():
            for module in adapter.modules:
                layer = model.get_submodule(module.name)
                layer.lora_A[name].weight.copy_(torch.from_numpy(module.a.copy()))
                layer.lora_B[name].weight.copy_(torch.from_numpy(module.b.copy()))
                layer.scaling[name] = module.scale
    except BaseException:
        remove(model, adapter.facts.adapter_id)
        raise
    model.requires_grad_(False)
    model.eval()


def remove(model: Any, adapter_id: str) -> None:
    """Take an adapter's layers out again; unknown ids are ignored."""
    name = peft_name(adapter_id)
    for layer in lora_layers(model):
        if name in layer.lora_A:
            layer.delete_adapter(name)
    if hasattr(model, "peft_config"):
        model.peft_config.pop(name, None)


def sample_digest(model: Any) -> str:
    """Return a sha256 over every 4,099th number of every base tensor: changes if the base does."""
    sha = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if ".lora_" in name:
            continue
        sha.update(name.replace(".base_layer", "").encode())
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
    return BindingProof(
        adapter_id=adapter.facts.adapter_id,
        base_fingerprint=fingerprint,
        n_bound=2 * len(adapter.modules),
        n_expected=2 * len(adapter.modules),
        max_logit_change=moved,
        base_logit_drift=drift,
        base_sample_digest=digests[1],
        base_matches=None if claim is None else claim == fingerprint,
    )


def _check_fits(model: Any, adapter: CheckedAdapter) -> None:
    modules = dict(model.named_modules())
    base = adapter.facts.claims.base_model
    hint = (
        f"It says it was trained on {base!r}; load that base." if base else "Load the base it was trained on."
    )
    for m in adapter.modules:
        found = modules.get(m.name)
        weight = getattr(getattr(found, "base_layer", found), "weight", None)
        if weight is None or weight.ndim != 2:
            raise BindingError(
                "module-missing",
                f"The adapter changes a layer {m.name!r} that the loaded base does not have.",
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
