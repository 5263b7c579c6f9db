"""Where an adapter sits and how large it is, and how it is put into a model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import torch

from lorabench.errors import TrainingError, unknown_name

Targets = Literal["all", "attention", "study-ssti"]

_DECODER = {
    "all": ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    "attention": ("q_proj", "k_proj", "v_proj", "o_proj"),
    "study-ssti": ("q_proj", "k_proj", "v_proj", "dense"),
}
_ENCODER = {
    "all": ("query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"),
    "attention": ("query", "key", "value", "attention.output.dense"),
    "study-ssti": ("dense",),
}
TARGETS: Mapping[str, str] = MappingProxyType(
    {
        "all": "every linear layer of a block: the first study's seven projections (arXiv 2605.30189, 1.3)",
        "attention": "the attention's four projections",
        "study-ssti": "the names in the code of arXiv 2506.11402 (q_proj, k_proj, v_proj, dense): "
        "on BERT-like encoders that is every layer called dense, and no query, key or value",
    }
)
"""What the choices of adapted layers mean."""

NAME = "student"
_BARE_LAYER = re.compile(r"[^.]+\.([0-9]+)\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Which layers get how large an adapter.

    Attributes:
        rank: LoRA rank.
        alpha: LoRA's alpha.
        targets: Which linear layers of a block; see `TARGETS`.
        first_layer: Lowest adapted layer; the backward pass ends there.
        dropout: Share of an adapter's inputs dropped in training.
        use_rslora: Whether the scale is alpha / sqrt(rank).
        use_dora: Whether every adapted layer also learns the length of its rows (DoRA).
    """

    rank: int
    alpha: float
    targets: Targets = "all"
    first_layer: int = 0
    dropout: float = 0.0
    use_rslora: bool = False
    use_dora: bool = False


def n_layers(model: Any) -> int:
    """Return how many blocks a model has."""
    return int(model.config.num_hidden_layers)


def projections(model: Any, targets: str) -> tuple[str, ...]:
    """Return the names of the layers to adapt, as PEFT's `target_modules` takes them.

    Raises:
        TrainingError: If the model has none of them.
    """
    if targets not in TARGETS:
        raise unknown_name("choice of adapted layers", targets, tuple(TARGETS))
    names = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)]
    for table in (_DECODER, _ENCODER):
        wanted = table[targets]
        if not any(n.endswith((".q_proj", ".query")[table is _ENCODER]) for n in names):
            continue
        return tuple(w for w in wanted if any(n.endswith(f".{w}") for n in names))
    raise TrainingError(
        "no-such-layer",
        f"The base ({type(model).__name__}) has no attention layers that lorabench knows by name.",
        "Use a Llama-, Qwen-, Mistral- or Gemma-like decoder, or a BERT-like encoder.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where an adapter was put.

    Attributes:
        layers: The adapted layers.
        target_modules: What PEFT's option of that name has to be to find the same modules.
        layers_to_transform: The same for this option.
    """

    layers: tuple[int, ...]
    target_modules: tuple[str, ...]
    layers_to_transform: tuple[int, ...] | None


def inject(model: Any, shape: Shape, seed: int) -> Placed:
    """Put a fresh adapter into a frozen model, drawn from the seed; return where it is.

    Raises:
        TrainingError: If the shape fits no layer.
    """
    from peft import LoraConfig, inject_adapter_in_model

    total = n_layers(model)
    if not 0 <= shape.first_layer < total:
        raise TrainingError(
            "no-such-layer",
            f"The first adapted layer is {shape.first_layer}; the base has layers 0 to {total - 1}.",
            f"Choose a first layer below {total}.",
        )
    layers = tuple(range(shape.first_layer, total))
    names = projections(model, shape.targets)
    _check_rank(model, shape.rank, names)
    placed = _placed(model, names, layers)
    config = LoraConfig(
        r=shape.rank,
        lora_alpha=shape.alpha,
        target_modules=list(placed.target_modules),
        layers_to_transform=None if placed.layers_to_transform is None else list(layers),
        lora_dropout=shape.dropout,
        bias="none",
        use_rslora=shape.use_rslora,
        use_dora=shape.use_dora,
    )
    with torch.random.fork_rng(devices=[]):  # the seed reaches the drawn A matrices and nothing else
        torch.manual_seed(seed)
        inject_adapter_in_model(config, model, adapter_name=NAME)
    return placed


def _placed(model: Any, names: tuple[str, ...], layers: tuple[int, ...]) -> Placed:
    """Return how PEFT is told of some projections in some layers.

    PEFT finds a layer's number only behind another part of a module's name, and a decoder without its
    language head has none there ("layers.0.mlp.up_proj"): its modules are named one by one.
    """
    found = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)]
    bare = [(n, _BARE_LAYER.match(n)) for n in found if n.endswith(tuple(f".{name}" for name in names))]
    one_by_one = tuple(n for n, at in bare if at is not None and int(at[1]) in layers)
    if not one_by_one:
        return Placed(layers=layers, target_modules=names, layers_to_transform=layers)
    return Placed(layers=layers, target_modules=one_by_one, layers_to_transform=None)


def _check_rank(model: Any, rank: int, names: tuple[str, ...]) -> None:
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name.endswith(tuple(f".{n}" for n in names)):
            width = min(module.in_features, module.out_features)
            if rank > width:
                raise TrainingError(
                    "rank-too-large",
                    f"Rank {rank} is more than the layer {name} has: "
                    f"{module.in_features} inputs, {module.out_features} outputs.",
                    f"Choose a rank of at most {width}.",
                )
