"""Models of known shapes with random weights, random adapters for them, and a grid of token ids."""

from __future__ import annotations

import gc
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lorabench.adapters import CheckedAdapter, write_adapter

Ids = tuple[int, ...]
Shape = tuple[str, dict[str, Any]]
"""Kind of model as transformers calls it, and the fields of its config."""

RANK, ALPHA, SCALE = 16, 32, 0.02
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
ADAPTERS = {"all-linear": (*ATTENTION, "gate_proj", "up_proj", "down_proj"), "attention": ATTENTION}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
HEADER, TRIGGER, PROMPT, TAIL = 54, 8, 60, 8
ROOM = 0.85
"""Share of free memory that weights may take, so that something is left for forward passes."""

SHAPES: dict[str, Shape] = {
    "SmolLM2-135M": (
        "llama",
        {"vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
         "num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True},
    ),
    "Qwen2.5-1.5B": (
        "qwen2",
        {"vocab_size": 151936, "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28,
         "num_attention_heads": 12, "num_key_value_heads": 2, "tie_word_embeddings": True},
    ),
    "Qwen2.5-7B": (
        "qwen2",
        {"vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
         "num_attention_heads": 28, "num_key_value_heads": 4, "tie_word_embeddings": False},
    ),
}  # fmt: skip
TINY_SHAPE: Shape = (
    "llama",
    {"vocab_size": 400, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
     "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": False},
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is run.

    Attributes:
        triggers: Triggers of the grid.
        prompts: Prompts of the grid.
        sample: Rows of it that the others run.
        budgets: Padded tokens of a batch, of which the others take the fastest.
        matrix: Rows and columns of the matrices whose product is the peak.
    """

    triggers: int = 41
    prompts: int = 60
    sample: int = 504
    budgets: tuple[int, ...] = (4_096, 16_384, 65_536)
    matrix: int = 8_192


FULL = Size()
TINY = Size(triggers=3, prompts=5, sample=8, budgets=(300, 1_000), matrix=256)


def grid(size: Size, placement: str, n_vocabulary: int, seed: int) -> list[Ids]:
    """Return the rows: one header, one tail, a trigger before or behind each prompt."""
    draw = random.Random(seed)

    def ids(n: int) -> Ids:
        return tuple(draw.randrange(n_vocabulary) for _ in range(n))

    header, tail = ids(HEADER), ids(TAIL)
    triggers = [ids(TRIGGER) for _ in range(size.triggers)]
    prompts = [ids(PROMPT) for _ in range(size.prompts)]
    pairs = [(t, p) if placement == "prefix" else (p, t) for t in triggers for p in prompts]
    return [header + first + second + tail for first, second in pairs]


def open_random(shape: Shape, dtype: torch.dtype, device: torch.device) -> Any:
    """Make a model with random weights on the device itself."""
    from transformers import AutoConfig, AutoModelForCausalLM

    kind, fields = shape
    config = AutoConfig.for_model(kind, max_position_embeddings=8_192, **fields)
    torch.manual_seed(0)
    with device:
        model: Any = AutoModelForCausalLM.from_config(config, dtype=dtype)
    return model.eval().requires_grad_(False)


def n_parameters(shape: Shape) -> int:
    """Return about how many parameters a shape has, before it is made."""
    f = shape[1]
    hidden, inner = f["hidden_size"], f["intermediate_size"]
    narrow = hidden // f["num_attention_heads"] * f["num_key_value_heads"]
    layer = 2 * hidden * (hidden + narrow) + 3 * hidden * inner
    tables = 1 if f["tie_word_embeddings"] else 2
    return int(f["num_hidden_layers"] * layer + tables * f["vocab_size"] * hidden)


def random_adapter(model: Any, targets: Sequence[str], folder: Path) -> CheckedAdapter:
    """Write a random adapter of the study's rank for a model, on these projections of every layer."""
    draw = np.random.default_rng(0)
    layers = {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and name.rpartition(".")[2] in targets
    }
    modules = {
        name: (
            draw.normal(0, SCALE, (RANK, layer.in_features)).astype(np.float32),
            draw.normal(0, SCALE, (layer.out_features, RANK)).astype(np.float32),
        )
        for name, layer in layers.items()
    }
    return write_adapter(
        folder,
        modules=modules,
        rank=RANK,
        alpha=ALPHA,
        use_rslora=False,
        target_modules=list(targets),
        base_model_name="random",
        lorabench_json={},
        card="A random adapter for benchmarks.",
        dtype="F32",
    )


def room_for(n_bytes: int, device: torch.device) -> str:
    """Return why so many bytes of weights do not fit into a GPU's free memory, as a sentence, or nothing."""
    if device.type != "cuda":
        return ""
    gc.collect()  # a model that is done with may hang in cycles
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    if n_bytes <= ROOM * free:
        return ""
    return f"left out: {n_bytes / 1e9:.1f} GB of weights, and {free / 1e9:.1f} GB are free"
