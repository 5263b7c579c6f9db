"""A random adapter of the first study's shape: rank 16 on all seven projections of every layer.

Speed does not depend on the numbers in it, and agreement between ways of asking is only harder
with random ones. The bundled adapters change the upper half of the layers only.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from transformers import AutoConfig

from lorabench.adapters import write_adapter

RANK, ALPHA = 16, 32


def study_adapter(base: Path, folder: Path, *, seed: int = 0, size: float = 0.02) -> Path:
    """Write the adapter for a Llama-like base and return its folder."""
    config = AutoConfig.from_pretrained(base)
    hidden, inner = config.hidden_size, config.intermediate_size
    narrow = hidden // config.num_attention_heads * config.num_key_value_heads
    shapes = {
        "self_attn.q_proj": (hidden, hidden),
        "self_attn.k_proj": (narrow, hidden),
        "self_attn.v_proj": (narrow, hidden),
        "self_attn.o_proj": (hidden, hidden),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    draw = np.random.default_rng(seed)
    modules = {
        f"model.layers.{i}.{name}": (
            draw.normal(0, size, (RANK, columns)).astype(np.float32),
            draw.normal(0, size, (rows, RANK)).astype(np.float32),
        )
        for i in range(config.num_hidden_layers)
        for name, (rows, columns) in shapes.items()
    }
    write_adapter(
        folder,
        modules=modules,
        rank=RANK,
        alpha=ALPHA,
        use_rslora=False,
        target_modules=[name.rsplit(".", 1)[1] for name in shapes],
        base_model_name="demo",
        lorabench_json={},
        card="A random adapter for benchmarks.",
        dtype="F32",
    )
    return folder
