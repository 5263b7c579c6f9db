"""One command's outcome, and small adapter folders made by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors.numpy import save_file

MODULE = "model.layers.0.self_attn.q_proj"
CONFIG: dict[str, Any] = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "base_model_name_or_path": "demo",
    "r": 2,
    "lora_alpha": 4,
    "target_modules": ["q_proj"],
}


@dataclass
class Outcome:
    """What one command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


def make_adapter(folder, *, values: float = 1.0, width: int = 6, config: dict[str, Any] | None = None):
    """Write a small adapter folder by hand."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    a = rng.normal(size=(2, width)).astype(np.float32) * values
    b = rng.normal(size=(width, 2)).astype(np.float32)
    prefix = f"base_model.model.{MODULE}.lora_"
    save_file({f"{prefix}A.weight": a, f"{prefix}B.weight": b}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(config or CONFIG), encoding="utf-8")
    return folder
